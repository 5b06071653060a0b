"""A path or a binary file → the header or the whole of the DICOM object in it.

A file without preamble and meta information is read too (PS3.10 7.1 asks for both; old archives and
modalities leave them out): its transfer syntax is the one in which its first elements are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from struct import unpack
from typing import Any, NamedTuple, Protocol, cast

import pydicom
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inference_gateway.dicom.inflating import inflated
from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.metering import Metered


class BinaryFile(Protocol):
    """What is asked of a source that is not a path: an input of a request and `io.BytesIO` have it."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all that are left for -1."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to an offset; return it from the start."""
        ...

    def tell(self) -> int:
        """Return the offset from the start."""
        ...


Source = str | PathLike[str] | BinaryFile

PIXEL_ELEMENTS = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData", 0x0010: "PixelData"}
"""Elements of the group 7FE0 that have pixels (PS3.3 C.7.6.24, C.7.6.25, C.7.6.3)."""

UNDEFINED = 0xFFFFFFFF
"""The length of encapsulated pixel data (PS3.5 A.4)."""

_PIXEL_VRS = (b"OB", b"OW", b"OF", b"OD", b"UN")

# The first group of an object without preamble, and the longest value that its first element may have.
_FIRST_GROUPS = (0x0002, 0x0008)
_LONGEST_FIRST_VALUE = 128


@contextmanager
def opened(source: Source, limits: Limits) -> Iterator[BinaryFile]:
    """Open a path, or take a binary file from its start; what is deflated is inflated as it is read.

    A binary file is left at its start, for who reads it next.
    """
    if isinstance(source, str | PathLike):
        with open(source, "rb") as file:
            yield inflated(file, limits.inflated_bytes)
    else:
        source.seek(0)
        try:
            yield inflated(source, limits.inflated_bytes)
        finally:
            with suppress(ValueError):  # it has been closed, with the request that it is of
                source.seek(0)


def read_dataset(file: BinaryFile, *, header_only: bool, tags: Sequence[str] | None = None) -> Dataset:
    """Read the object in a file that stands at its start: all of it, or only what comes before the pixels.

    After a header alone the file stands where the pixel data begins. `tags` are keywords: others are left
    out. Raises `LimitError` where a header has more elements or items than one, `InvalidDicomError` where
    there is no DICOM, and whatever the parser trips over where it is damaged.
    """
    bare = _starts_without_preamble(file)
    wanted: Any = None if tags is None else list(tags)
    metered = Metered(file) if header_only else None
    try:
        dataset = pydicom.dcmread(
            cast(Any, metered or file), stop_before_pixels=header_only, specific_tags=wanted, force=bare
        )
    finally:
        if metered:
            metered.check()  # pydicom makes errors of its own of what is raised while it reads items
    if metered:
        metered.convert(dataset)
    if bare and "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


class PixelElement(NamedTuple):
    """The pixel data of an object: which element of the group 7FE0, and where its value lies in the file.

    `length` is what the element says: `UNDEFINED` for encapsulated pixel data.
    """

    element: int
    vr: str
    start: int
    length: int


def pixel_element(file: BinaryFile, *, little: bool) -> PixelElement | None:
    """Read the head of the pixel data in a file that stands where the header ended, None where there is none.

    Whether the VR is written is seen here, not known from the transfer syntax: files lie about it.
    """
    at = file.tell()
    head = file.read(12)
    if len(head) < 8:
        return None
    order = "<" if little else ">"
    group, element = unpack(f"{order}HH", head[:4])
    if group != 0x7FE0 or element not in PIXEL_ELEMENTS:
        return None
    if head[4:6] in _PIXEL_VRS and len(head) == 12:
        return PixelElement(element, head[4:6].decode("ascii"), at + 12, unpack(f"{order}L", head[8:])[0])
    return PixelElement(element, "OW", at + 8, unpack(f"{order}L", head[4:8])[0])


def _starts_without_preamble(file: BinaryFile) -> bool:
    """Return whether a file starts with an element of group 2 or 8 instead of a preamble.

    The file is left at its start.
    """
    head = file.read(132)
    file.seek(0)
    if len(head) < 8 or head[128:] == b"DICM":
        return False
    group, element, length = unpack("<HHL", head[:8])
    if group not in _FIRST_GROUPS or element > 0x0020:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or length <= _LONGEST_FIRST_VALUE
