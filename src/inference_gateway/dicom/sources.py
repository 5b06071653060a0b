"""A path or a binary file → the header or the whole of the DICOM object in it, within bounds."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from struct import unpack
from typing import Any, Protocol, cast

import pydicom
from pydicom import Dataset
from pydicom.uid import UID

from inference_gateway.dicom.inflating import inflated
from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.metering import Metered

# Those elements of the group 7FE0 that hold pixels: float, double float and plain.
_PIXEL_ELEMENTS = (0x0008, 0x0009, 0x0010)


class BinaryFile(Protocol):
    """What is asked of a source that is not a path: an input of a request and `io.BytesIO` have it."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


Source = str | PathLike[str] | BinaryFile


@contextmanager
def opened(source: Source, limits: Limits) -> Iterator[BinaryFile]:
    """Open a path, or take a binary file from its start; what is deflated is inflated as it is read."""
    if isinstance(source, str | PathLike):
        with open(source, "rb") as file:
            yield inflated(file, limits.inflated_bytes)
    else:
        source.seek(0)
        yield inflated(source, limits.inflated_bytes)


def read_dataset(file: BinaryFile, *, header_only: bool, tags: Sequence[str] | None = None) -> Dataset:
    """Read the object in a file that stands at its start: all of it, or only what comes before the pixels.

    After a header alone the file stands where the pixel data begins. `tags` are keywords: others are left
    out. Raises `LimitError` where a header has more elements or items than one, `InvalidDicomError` where
    there is no DICOM, and whatever the parser trips over where it is damaged.
    """
    if not header_only:
        return pydicom.dcmread(cast(Any, file))
    metered = Metered(file)
    wanted: Any = None if tags is None else list(tags)
    try:
        header = pydicom.dcmread(cast(Any, metered), stop_before_pixels=True, specific_tags=wanted)
        metered.convert(header)
    finally:
        metered.check()  # pydicom makes errors of its own of what is raised while it reads items
    return header


def transfer_syntax(header: Dataset) -> UID | None:
    """Return the transfer syntax if it is one that pydicom knows, else None."""
    found: UID | None = header.file_meta.get("TransferSyntaxUID")
    return found if found is not None and found.is_transfer_syntax else None


def pixel_bytes(file: BinaryFile, syntax: UID | None) -> int | None:
    """Return how many bytes of pixel data there are, None where there is no pixel data.

    `file` stands where the header ended, and then where the value of the pixel data begins. Pixel data of
    unknown length reaches to the end of the file at most.
    """
    start = file.tell()
    head = file.read(12)
    if len(head) < 8:
        return None
    order = "<" if syntax is None or syntax.is_little_endian else ">"
    if syntax is not None and syntax.is_implicit_VR:
        (group, element, length), taken = unpack(f"{order}HHL", head[:8]), 8
    else:
        (group, element, _, length), taken = unpack(f"{order}HH4sL", head.ljust(12, b"\0")), 12
    if group != 0x7FE0 or element not in _PIXEL_ELEMENTS:
        return None
    available = min(int(length), file.seek(0, io.SEEK_END) - start - taken)
    file.seek(start + taken)
    return available
