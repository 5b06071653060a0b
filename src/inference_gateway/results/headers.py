"""The few attributes of a DICOM header that an answer is held against, read without any library.

A header is walked through from its first element to its last wanted one (PS3.5 §7): sequences on the way are
stepped over. Costs some thirty microseconds; nothing is decoded, and no value is kept but these. What cannot
be walked through (deflated, no DICOM, damaged) has no header here, and nothing is said of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

Head = Callable[[int], bytes]
"""Gives the first bytes of a file, at most so many, wherever its cursor is."""

_SIZES = (
    8 << 10,
    128 << 10,
    1 << 20,
)  # bytes that are read; most headers end in the first, none is looked for beyond
_PREAMBLE, _MAGIC = 128, b"DICM"  # PS3.10 §7.1
BEGINNING = _PREAMBLE + len(_MAGIC)
_META_GROUP = 0x0002
_TRANSFER_SYNTAX = 0x0002_0010
_DEFLATED, _BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
_LONG = frozenset((b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"))
_UNDEFINED = 0xFFFF_FFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_DEEPEST = 16

_CLASS, _IMAGE, _STUDY, _SERIES = 0x0008_0016, 0x0008_0018, 0x0020_000D, 0x0020_000E
_POSITION = 0x0020_0032
_ORIENTATION, _FRAMES, _ROWS, _COLUMNS = 0x0020_0037, 0x0028_0008, 0x0028_0010, 0x0028_0011
_SPACING, _PIXELS = 0x0028_0030, 0x7FE0_0008
_WANTED = frozenset(
    (_CLASS, _IMAGE, _STUDY, _SERIES, _POSITION, _ORIENTATION, _FRAMES, _ROWS, _COLUMNS, _SPACING)
)


class Header(NamedTuple):
    """What is known of one object, as it is written there, "" for what is not.

    `frames`: 1 where it does not say; `rows` 0: it is no image.
    """

    sop_class: str
    image: str
    study: str
    series: str
    position: str
    orientation: str
    spacing: str
    frames: int
    rows: int
    columns: int


_NOTHING = Header("", "", "", "", "", "", "", 1, 0, 0)
"""Of a file that ends before its data set begins."""


class _Short(Exception):
    """The bytes end before the header does."""


def is_dicom(beginning: bytes) -> bool:
    """Tell whether a file that begins so is DICOM (PS3.10 §7.1)."""
    return beginning[_PREAMBLE:BEGINNING] == _MAGIC


def read_header(head: Head) -> Header | None:
    """Return what a DICOM file says of itself, None where it is none that can be walked through."""
    for size in _SIZES:
        data = head(size)
        if not is_dicom(data):
            return None
        try:
            return _read(data, whole=len(data) < size)
        except _Short:
            if len(data) < size:
                return _NOTHING
        except (struct.error, ValueError, RecursionError):
            return None
    return None


def is_cut(head: Head, size: int) -> bool:
    """Tell whether a file of `size` bytes ends before its own elements do; False where nobody can tell."""
    data = head(_SIZES[-1])
    try:
        at, order, explicit = _data_set(data)
        for tag, _, end in _elements(data, at, order, explicit=explicit):
            if end > size + 1 or tag >= _PIXELS:  # the byte that makes a length even may be missing
                return end > size + 1
    except (_Short, struct.error, ValueError, RecursionError):
        pass
    return False


def _data_set(data: bytes) -> tuple[int, str, bool]:
    """Return where the data set begins, its byte order, and whether it says VRs.

    Raises `ValueError` where it is deflated, `_Short` where the file ends before.
    """
    syntax, at = "", BEGINNING
    for tag, begin, end in _elements(data, at, "<", explicit=True):
        if tag >> 16 != _META_GROUP:
            break
        if tag == _TRANSFER_SYNTAX:
            syntax = _text(data, begin, end)
        at = end
    if syntax == _DEFLATED:
        raise ValueError
    order = ">" if syntax == _BIG else "<"
    vr = data[at + 4 : at + 6]
    return at, order, vr.isalpha() and vr.isupper()  # as the bytes are: some have another than they declare


def _read(data: bytes, *, whole: bool) -> Header:
    at, order, explicit = _data_set(data)
    found: dict[int, tuple[int, int]] = {}
    try:
        for tag, begin, end in _elements(data, at, order, explicit=explicit):
            if tag in _WANTED:
                if end > len(data):
                    raise _Short
                found[tag] = begin, end
            if tag >= _SPACING:
                break
    except _Short:
        if not whole:
            raise

    def text(tag: int) -> str:
        return _text(data, *found.get(tag, (0, 0)))

    def number(tag: int) -> int:
        return int(struct.unpack_from(f"{order}H", data, found[tag][0])[0]) if tag in found else 0

    frames = text(_FRAMES)
    return Header(
        sop_class=text(_CLASS),
        image=text(_IMAGE),
        study=text(_STUDY),
        series=text(_SERIES),
        position=text(_POSITION),
        orientation=text(_ORIENTATION),
        spacing=text(_SPACING),
        frames=int(frames) if frames.isdigit() else 1,
        rows=number(_ROWS),
        columns=number(_COLUMNS),
    )


def _elements(data: bytes, at: int, order: str, *, explicit: bool) -> Iterator[tuple[int, int, int]]:
    """Yield the tag of each element, and where its value begins and ends. Raises `_Short` where bytes end."""
    size = len(data)
    short = struct.Struct(f"{order}HH2sH").unpack_from
    long = struct.Struct(f"{order}I").unpack_from
    implicit = struct.Struct(f"{order}HHI").unpack_from
    while True:
        if at + 12 > size:
            raise _Short
        if explicit:
            group, element, kind, length = short(data, at)
            begin = at + 8
            if kind in _LONG:
                (length,) = long(data, begin)
                begin += 4
        else:
            group, element, length = implicit(data, at)
            begin = at + 8
        end = begin + length if length != _UNDEFINED else _sequence_end(data, begin, order, explicit, 0)
        yield group << 16 | element, begin, end
        at = end


def _sequence_end(data: bytes, at: int, order: str, explicit: bool, depth: int) -> int:
    """Return where a sequence of undefined length ends (PS3.5 §7.5)."""
    if depth > _DEEPEST:
        raise ValueError
    while True:
        tag, length = _delimiter(data, at, order)
        at += 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise ValueError
        at = at + length if length != _UNDEFINED else _item_end(data, at, order, explicit, depth)


def _item_end(data: bytes, at: int, order: str, explicit: bool, depth: int) -> int:
    while _delimiter(data, at, order)[0] != _ITEM_END:
        kind = data[at + 4 : at + 6]
        (length,) = struct.unpack_from(f"{order}I", data, at + 4)
        begin = at + 8
        if explicit and kind in _LONG:
            if at + 12 > len(data):
                raise _Short
            (length,) = struct.unpack_from(f"{order}I", data, begin)
            begin += 4
        elif explicit:
            (length,) = struct.unpack_from(f"{order}H", data, at + 6)
        at = (
            begin + length if length != _UNDEFINED else _sequence_end(data, begin, order, explicit, depth + 1)
        )
    return at + 8


def _delimiter(data: bytes, at: int, order: str) -> tuple[int, int]:
    if at + 8 > len(data):
        raise _Short
    group, element, length = struct.unpack_from(f"{order}HHI", data, at)
    return group << 16 | element, length


def _text(data: bytes, begin: int, end: int) -> str:
    return data[begin:end].rstrip(b" \0").strip().decode("ascii", "replace")
