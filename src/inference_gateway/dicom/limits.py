"""What an image may say of its size: what the standard allows, and what its file can hold.

All of it is checked on numbers alone, before anything is made of them: a file of some hundred bytes can name
billions of frames.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import prod

from pydicom import Dataset
from pydicom.uid import UID, RLELossless

from inference_gateway.dicom import attributes

# PS3.3 C.7.6.3.1: Rows and Columns are of VR US; one sample is grey, three are colour, four are retired.
_MOST_SIDE = 65535
_SAMPLES = (1, 3, 4)
_MOST_BITS = 64

SUBSAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422")
"""Photometric interpretations of two samples a pixel where pixels are native (PS3.3 C.7.6.3.1.2)."""

# Frames that are so small cost more than their bytes: so many, and one for each so many bytes, are believed.
_FREE_FRAMES = 2048
_FRAME_BYTES = 64

# An encapsulated frame takes at least one item header (PS3.5 A.4). One byte of RLE is 64 pixels at most
# (PS3.5 G.3), one of another syntax as many as in a picture of one grey.
_ITEM_HEADER_BYTES = 8
_RLE_RATIO = 64
_MOST_RATIO = 4096
_FREE_PIXELS = 1 << 20


class LimitError(ValueError):
    """An image is not taken for its size; the message is the reason, and quotes nothing of the image.

    `is_object`: it may be a whole one all the same, for somebody who can take it.
    """

    def __init__(self, reason: str, *, is_object: bool = False) -> None:
        super().__init__(reason)
        self.is_object = is_object


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one image may take.

    `frame_pixels`: pixels of one frame; the greatest mammograms have 28 million, and some 18 bytes of memory
    are taken for each of them. `inflated_bytes`: what a deflated data set may come to.
    """

    frame_pixels: int = 50_000_000
    inflated_bytes: int = 256 << 20

    def check_frame(self, *sides: int) -> None:
        """Raise `LimitError` where a frame of rows by columns has too many pixels."""
        if prod(sides) > self.frame_pixels:
            raise LimitError(f"more than {self.frame_pixels:,} pixels in one frame", is_object=True)


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows, columns and frames of an image, samples of a pixel, and the bits of each: as the header says."""

    rows: int
    columns: int
    frames: int
    samples: int
    bits: int


def counts_of(header: Dataset) -> Counts:
    """Return what a header says, rows or columns 0 where it says nothing.

    Raises `LimitError` where the standard does not allow it.
    """

    def count(keyword: str, default: int) -> int:
        found = attributes.integer(header, keyword)
        return default if found is None else found

    counts = Counts(
        count("Rows", 0),
        count("Columns", 0),
        count("NumberOfFrames", 1) or 1,  # 0 is written for 1
        count("SamplesPerPixel", 1),
        count("BitsAllocated", 8),
    )
    _allow("Rows", counts.rows, range(_MOST_SIDE + 1))
    _allow("Columns", counts.columns, range(_MOST_SIDE + 1))
    _allow("NumberOfFrames", counts.frames, range(1, 1 << 31))
    _allow("SamplesPerPixel", counts.samples, _SAMPLES)
    _allow("BitsAllocated", counts.bits, range(1, _MOST_BITS + 1))
    return counts


def check_pixel_data(
    header: Dataset, counts: Counts, available: int, syntax: UID | None, limits: Limits
) -> None:
    """Raise `LimitError` where `available` bytes of pixel data cannot hold what a header says.

    `syntax` is the transfer syntax, None where it is not known.
    """
    pixels = counts.rows * counts.columns
    if syntax is None or syntax.is_encapsulated:
        ratio = _RLE_RATIO if syntax == RLELossless else _MOST_RATIO
        needed = max(counts.frames * _ITEM_HEADER_BYTES, (pixels * counts.frames - _FREE_PIXELS) // ratio)
    else:
        subsampled = attributes.text(header, "PhotometricInterpretation") in SUBSAMPLED
        samples = 2 if subsampled and counts.samples == 3 else counts.samples
        needed = (pixels * counts.frames * samples * counts.bits + 7) // 8
    if available < needed:
        raise LimitError(f"less pixel data than its header says: {available:,} of {needed:,} bytes")
    if counts.frames > most_frames(available):
        raise LimitError("too many frames for so little pixel data")
    limits.check_frame(counts.rows, counts.columns)


def most_frames(available: int) -> int:
    """Return how many frames, or fragments of frames, so many bytes of pixel data are good for."""
    return _FREE_FRAMES + available // _FRAME_BYTES


def _allow(keyword: str, value: int, allowed: Collection[int]) -> None:
    if value not in allowed:
        raise LimitError(f"a value of {keyword} that the standard does not allow")
