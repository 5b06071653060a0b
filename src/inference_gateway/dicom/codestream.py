"""What a compressed picture says of its own size, read from its first bytes, before it is decoded.

A decoder makes room for what the codestream says, not for what the header of the image around it says.
"""

from __future__ import annotations

from struct import error as StructError  # noqa: N812 - the name says what it is
from struct import unpack_from

# JPEG (ISO 10918-1 B.1.1.3) and JPEG-LS (ISO 14495-1 C.1): frame headers, markers without a length, scans.
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})

# JPEG 2000 (ISO 15444-1 A.4.1, A.5.1): start of the codestream and its size.
_J2K = b"\xff\x4f\xff\x51"
_MOST_BOXES = 4096  # bytes of JP2 boxes before it

# Each scan of a progressive JPEG goes over the whole picture: encoders make ten or so.
_SCAN = b"\xff\xda"
_MOST_SCANS = 100
_MOST_COMPONENTS = 4


class CodestreamError(ValueError):
    """A codestream that no decoder should be given; the message quotes nothing of it."""


def size_of(codestream: bytes) -> tuple[int, int, int] | None:
    """Return (rows, columns, samples) of a JPEG, JPEG-LS or JPEG 2000 codestream, None of another.

    Raises `CodestreamError` where it has no size, or more components or scans than a picture.
    """
    try:
        found = _size_of(codestream)
    except (IndexError, StructError):
        raise CodestreamError("it ends before its size") from None
    if found is None:
        return None
    if found[2] > _MOST_COMPONENTS or codestream.count(_SCAN) > _MOST_SCANS:
        raise CodestreamError("more components or scans than a picture has")
    return found


def _size_of(codestream: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and components."""
    if codestream.startswith(b"\xff\xd8"):
        return _jpeg_size(codestream)
    at = codestream.find(_J2K, 0, _MOST_BOXES)
    if at < 0:
        return None
    right, bottom, left, top = unpack_from(">4L", codestream, at + 8)
    (components,) = unpack_from(">H", codestream, at + 40)
    return bottom - top, right - left, components


def _jpeg_size(codestream: bytes) -> tuple[int, int, int]:
    """Go from marker segment to marker segment, up to the frame header."""
    at = 2
    while True:
        while codestream[at] == 0xFF:  # fill bytes
            at += 1
        marker = codestream[at]
        if marker in _FRAMES:
            rows, columns, components = unpack_from(">HHB", codestream, at + 4)
            return rows, columns, components
        at += 1
        if marker not in _BARE:
            at += unpack_from(">H", codestream, at)[0]
