"""One frame → modality values for a model, or 8-bit values for a screen.

Stored values → modality values (PS3.3 C.11.1: rescale, Modality LUT or dose grid) → window or VOI LUT (PS3.3
C.11.2) → display. MONOCHROME1 (PS3.3 C.7.6.3.1.2) turns only what is displayed: modality values mean the same
in both. Colour (RGB, YBR, palette) is RGB of 8 bits for display and its luma for a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference_gateway.dicom import attributes
from inference_gateway.dicom.colors import eight_bits, is_palette, rgb_of
from inference_gateway.dicom.instances import Frame, Peers, frames_of
from inference_gateway.dicom.stored import Outcome, PixelDataError, finished_frames, stored_frames
from inference_gateway.dicom.tables import read_table
from inference_gateway.dicom.windows import (
    SOFT_TISSUE,
    Byte,
    Float,
    Window,
    apply_window,
    own_window,
    range_window,
)

__all__ = [
    "PixelDataError",
    "Pixels",
    "Window",
    "apply_window",
    "attempt_frames",
    "display_values",
    "first_window",
    "is_hounsfield",
    "is_inverted",
    "modality_values",
    "read_frames",
    "read_values",
]

# Before PixelPaddingValue and PixelPaddingRangeLimit: of integers and of floating point numbers.
_PADDINGS = ("", "Float", "DoubleFloat")

# Rec. ITU-R BT.601 luma, which is also the Y of YBR_FULL (PS3.3 C.7.6.3.1.2).
_LUMA = np.array([0.2990, 0.5870, 0.1140], dtype=np.float32)


# Rows that are rescaled at once.
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Pixels:
    """The decoded pixels of one frame.

    `stored`: (rows, columns) of the stored type, or (rows, columns, 3) of uint8 where `is_color`.
    `header` is the whole dataset of the image without pixel data; the representation shows none of it.
    """

    frame: Frame
    header: Dataset = field(repr=False)
    stored: NDArray[Any] = field(repr=False)

    @property
    def is_color(self) -> bool:
        """Whether a pixel has more than one sample."""
        return self.stored.ndim == 3


def read_frames(frames: Iterable[Frame]) -> Iterator[Pixels]:
    """Decode frames in the order given.

    Each image is opened once for the frames of it that follow each other. No more frames are in memory than
    there are cores, and one. Raises `PixelDataError` where pixel data is damaged or in a form that cannot be
    decoded here.
    """
    for found in attempt_frames(frames):
        if isinstance(found, PixelDataError):
            raise found
        yield found


def attempt_frames(frames: Iterable[Frame]) -> Iterator[Pixels | PixelDataError]:
    """Decode frames in the order given, as `read_frames` does; yield the error of one that cannot be."""
    for stored in stored_frames(frames):
        yield _pixels(stored)


def _pixels(stored: Outcome) -> Pixels | PixelDataError:
    if isinstance(stored, PixelDataError):
        return stored
    if stored.samples.ndim == 2 and not is_palette(stored.header):
        return Pixels(stored.frame, stored.header, stored.samples)
    try:
        return Pixels(stored.frame, stored.header, rgb_of(stored))
    except PixelDataError as error:
        return error


def read_values(frames: Sequence[Frame]) -> Float:
    """Return the modality values of frames of one size, float32 of (frames, rows, columns).

    Frames are decoded on all cores, each into its place. Raises `PixelDataError` where one cannot be.
    """
    first = frames[0].instance
    values = np.empty((len(frames), first.rows, first.columns), np.float32)

    def finish(at: int, stored: Outcome) -> PixelDataError | None:
        try:
            pixels = _pixels(stored)
            if isinstance(pixels, PixelDataError):
                return pixels
            modality_values(pixels, out=values[at])
        except PixelDataError as error:
            return error
        return None

    for at, error in enumerate(finished_frames(frames, finish), start=1):
        if error is not None:
            raise PixelDataError(f"frame {at} of {len(frames)}: {error}") from error
    return values


def modality_values(pixels: Pixels, out: Float | None = None) -> Float:
    """Return the modality values of a frame, float32 of (rows, columns), in `out` where it is given.

    They are Hounsfield units for CT, and what DoseUnits says for a dose. Colour gives luma, 0 to 255.
    Raises `PixelDataError` where the Modality LUT is damaged.
    """
    values = np.empty(pixels.stored.shape[:2], np.float32) if out is None else out
    luts = attributes.items(pixels.header, "ModalityLUTSequence")
    if pixels.is_color:
        values[...] = pixels.stored @ _LUMA
    elif luts:
        values[...] = _looked_up(pixels, luts[0])
    else:
        _rescaled(pixels.stored, *_rescale(pixels), values)
    return values


def _rescaled(stored: NDArray[Any], slope: float, intercept: float, values: Float) -> None:
    """Put rescaled values into float32: through float64, but where float32 holds each step of it exactly."""
    if slope == 1.0 and stored.dtype.itemsize <= 2 and stored.dtype.kind in "iu" and _is_small(intercept):
        np.add(stored, np.float32(intercept), out=values, casting="unsafe")
        return
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite
        for at in range(0, len(stored), _BLOCK):  # stays in the processor's cache
            block = stored[at : at + _BLOCK] * np.float64(slope)
            block += intercept
            values[at : at + _BLOCK] = block


def _is_small(intercept: float) -> bool:
    return intercept.is_integer() and abs(intercept) < 1 << 22


def display_values(pixels: Pixels, window: Window | None = None, inverted: bool | None = None) -> Byte:
    """Return what to show of a frame: uint8 of (rows, columns), or of (rows, columns, 3) for colour.

    Without `window` the image's own first window is taken, else its VOI LUT, else what `first_window` says.
    `inverted`: the least value is white; without it as `is_inverted` says. Colour is shown as it is.
    """
    if pixels.is_color:
        return pixels.stored
    values = modality_values(pixels)
    shown = None if window else _voi_looked_up(pixels, values)
    if shown is None:
        shown = apply_window(values, window or first_window(pixels, values))
    return 255 - shown if (is_inverted(pixels.header) if inverted is None else inverted) else shown


def first_window(pixels: Pixels, values: Float) -> Window:
    """Return the window that a frame is shown with at first; `values` are its modality values.

    The image's own first one, else soft tissue for CT, else all values that a segmentation may have, else
    the range of the values that are no padding, of all frames of its stack: these are decoded once for it.
    """
    own = own_window(pixels.header, pixels.frame.number)
    if own is None and is_hounsfield(pixels.header):
        return SOFT_TISSUE
    return own or _segment_window(pixels.header) or _peers_window(pixels, values)


def is_inverted(header: Dataset) -> bool:
    """Return whether the least value is shown white (MONOCHROME1)."""
    return attributes.text(header, "PhotometricInterpretation") == "MONOCHROME1"


def is_hounsfield(header: Dataset) -> bool:
    """Return whether modality values are Hounsfield units: monochrome CT of RescaleType HU or none."""
    if attributes.text(header, "Modality") != "CT" or attributes.text(header, "RescaleType") not in (
        "",
        "HU",
    ):
        return False
    return attributes.text(header, "PhotometricInterpretation").startswith("MONOCHROME")


def _looked_up(pixels: Pixels, lut: Dataset) -> Float:
    signed = attributes.integer(pixels.header, "PixelRepresentation") == 1
    little = pixels.header.original_encoding[1] is not False
    try:
        table = read_table(lut, "LUTDescriptor", "LUTData", signed=signed, little=little)
    except ValueError as error:
        raise PixelDataError(f"the Modality LUT cannot be applied: {error}") from error
    return table.look_up(pixels.stored).astype(np.float32)


def _rescale(pixels: Pixels) -> tuple[float, float]:
    def one(keyword: str, default: float) -> float:
        header, number = pixels.header, pixels.frame.number
        found = attributes.frame_numbers(header, number, "PixelValueTransformationSequence", keyword, 1)
        return default if found is None else found[0]

    scaling = attributes.number(pixels.header, "DoseGridScaling")
    if scaling and attributes.text(pixels.header, "Modality") == "RTDOSE":  # PS3.3 C.8.8.3
        return scaling, 0.0
    slope = one("RescaleSlope", 1.0)
    return (slope, one("RescaleIntercept", 0.0)) if slope else (1.0, 0.0)  # one of 0 would leave nothing


def _voi_looked_up(pixels: Pixels, values: Float) -> Byte | None:
    """Return what the image's VOI LUT makes of modality values.

    None where the image has a window, which goes first, no table, or one that cannot be applied.
    """
    header, number = pixels.header, pixels.frame.number
    if own_window(header, number) is not None:
        return None
    groups = attributes.frame_macro(header, number, "FrameVOILUTSequence")
    lut = next((items[0] for one in groups if (items := attributes.items(one, "VOILUTSequence"))), None)
    if lut is None:
        return None
    looked_up = bool(attributes.items(header, "ModalityLUTSequence"))
    signed = not looked_up and (
        attributes.integer(header, "PixelRepresentation") == 1 or _rescale(pixels)[1] < 0
    )
    little = header.original_encoding[1] is not False
    try:
        table = read_table(lut, "LUTDescriptor", "LUTData", signed=signed, little=little)
    except ValueError:
        return None
    return eight_bits(table.look_up(values), table.bits)


def _segment_window(header: Dataset) -> Window | None:
    """Return the window of all values of a segmentation (PS3.3 C.8.20.2), None for other images."""
    if attributes.text(header, "Modality") != "SEG":
        return None
    match attributes.text(header, "SegmentationType"):
        case "FRACTIONAL":
            most = attributes.number(header, "MaximumFractionalValue") or 255.0
        case "LABELMAP":
            segments = attributes.items(header, "SegmentSequence")
            most = max((attributes.number(one, "SegmentNumber") or 0.0 for one in segments), default=0.0)
        case _:
            most = 1.0 if (attributes.integer(header, "BitsAllocated") or 8) == 1 else 0.0
    bits = attributes.integer(header, "BitsStored") or 8
    return range_window(0.0, most or 2.0**bits - 1.0)


def _peers_window(pixels: Pixels, values: Float) -> Window:
    """Return the window from the least to the greatest value of all frames of a stack."""
    peers = pixels.frame.peers or _alone(pixels.frame)
    if peers.range is None:
        found = [_range(pixels, values)]
        others = (
            Frame(instance, number, peers)
            for instance, number in peers.members
            if instance is not pixels.frame.instance or number != pixels.frame.number
        )
        found += map(_range_or_none, attempt_frames(others))
        known = [one for one in found if one is not None] or [(0.0, 1.0)]
        peers.range = min(low for low, _ in known), max(high for _, high in known)
    return range_window(*peers.range)


def _alone(frame: Frame) -> Peers:
    peers = next(frames_of(frame.instance)).peers
    assert peers is not None
    return peers


def _range_or_none(pixels: Pixels | PixelDataError) -> tuple[float, float] | None:
    if isinstance(pixels, PixelDataError) or pixels.is_color:
        return None
    try:
        return _range(pixels, modality_values(pixels))
    except PixelDataError:
        return None


def _range(pixels: Pixels, values: Float) -> tuple[float, float] | None:
    """Return the least and the greatest value, None where all are padding or no numbers (C.7.5.1.1.2)."""
    counted = np.isfinite(values)
    for kind in _PADDINGS:
        padding = attributes.number(pixels.header, f"{kind}PixelPaddingValue")
        if padding is not None:
            limit = attributes.number(pixels.header, f"{kind}PixelPaddingRangeLimit")
            ends = [_as_stored(one, pixels.stored) for one in (padding, padding if limit is None else limit)]
            counted &= (pixels.stored < min(ends)) | (pixels.stored > max(ends))
    if not counted.any():
        return None
    return float(values[counted].min()), float(values[counted].max())


def _as_stored(value: float, stored: NDArray[Any]) -> float:
    """Return a padding value as the pixels have it: some files write one with sign as one without."""
    bits = stored.dtype.itemsize * 8
    if stored.dtype.kind == "i" and bits <= 16 and value >= 2 ** (bits - 1):
        return value - float(2**bits)
    return value
