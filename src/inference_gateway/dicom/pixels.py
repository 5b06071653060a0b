"""One frame → modality values for a model, or 8-bit values for a screen.

Stored values → modality values (PS3.3 C.11.1: rescale or Modality LUT) → window or VOI LUT (PS3.3 C.11.2) →
display.
MONOCHROME1 (PS3.3 C.7.6.3.1.2) turns only what is displayed: modality values mean the same in both. Colour
(RGB, YBR, palette) is RGB of 8 bits for display and its luma for a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from inference_gateway.dicom import attributes
from inference_gateway.dicom.decoding import decoded
from inference_gateway.dicom.series import Frame
from inference_gateway.dicom.sources import opened

Float = NDArray[np.float32]
Byte = NDArray[np.uint8]

# Rec. ITU-R BT.601 luma, which is also the Y of YBR_FULL (PS3.3 C.7.6.3.1.2).
_LUMA = np.array([0.2990, 0.5870, 0.1140], dtype=np.float32)


class PixelDataError(ValueError):
    """The pixel data of an image cannot be decoded."""


@dataclass(frozen=True)
class Window:
    """Window centre and width in modality values, and the VOI LUT function that they go through."""

    center: float
    width: float
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


# Soft tissue in Hounsfield units, for CT images that bring no window.
_CT_WINDOW = Window(40.0, 400.0)


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
        return self.stored.ndim == 3


def read_frames(frames: Iterable[Frame]) -> Iterator[Pixels]:
    """Decode frames in the order given, one at a time.

    Each image is opened once for the frames of it that follow each other, and no more than one frame is in
    memory. Raises `PixelDataError` where pixel
    data is damaged or in a form that cannot be decoded here.
    """
    for instance, group in groupby(frames, key=lambda frame: frame.instance):
        of_instance = list(group)
        header = instance.read_header()
        stored = _stored_values(header, of_instance)
        for frame in of_instance:
            yield Pixels(frame, header, next(stored))


def modality_values(pixels: Pixels) -> Float:
    """Return the modality values of a frame, float32 of (rows, columns): Hounsfield units for CT.

    Colour gives luma, 0 to 255. Raises `PixelDataError` where the Modality LUT is damaged.
    """
    if pixels.is_color:
        return (pixels.stored @ _LUMA).astype(np.float32)
    if attributes.items(pixels.header, "ModalityLUTSequence"):
        return _looked_up(pixels)
    slope, intercept = _rescale(pixels)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        values = pixels.stored * np.float64(slope)
        values += intercept
        return values.astype(np.float32)


def display_values(pixels: Pixels, window: Window | None = None) -> Byte:
    """Return what to show of a frame: uint8 of (rows, columns), or of (rows, columns, 3) for colour.

    Without `window` the image's own first window is taken, else its VOI LUT, else soft tissue for CT, else
    the range of the values that are no padding. Colour is shown as it is.
    """
    if pixels.is_color:
        return pixels.stored
    values = modality_values(pixels)
    shown = None if window else _voi_looked_up(pixels, values)
    if shown is None:
        shown = apply_window(values, window or first_window(pixels, values))
    return 255 - shown if is_inverted(pixels.header) else shown


def first_window(pixels: Pixels, values: Float) -> Window:
    """Return the window that a frame is shown with at first; `values` are its modality values."""
    fitting = _CT_WINDOW if is_hounsfield(pixels.header) else None
    return _own_window(pixels) or fitting or _range_window(pixels, values)


def is_inverted(header: Dataset) -> bool:
    """Return whether the least value is shown white (MONOCHROME1)."""
    return attributes.text(header, "PhotometricInterpretation") == "MONOCHROME1"


def apply_window(values: Float, window: Window) -> Byte:
    """Map modality values of any shape to uint8 of that shape, 0 to 255.

    LINEAR: PS3.3 C.11.2.1.2.1, LINEAR_EXACT: C.11.2.1.3.2, SIGMOID: C.11.2.1.3.1. Values that are no number
    come out as that of 0.
    """
    values = np.nan_to_num(values, nan=0.0).astype(np.result_type(values, np.float32), copy=False)
    if window.function == "SIGMOID":
        with np.errstate(over="ignore"):
            exponent = np.clip(-4.0 * (values - window.center) / max(window.width, 1e-6), -80.0, 80.0)
        return _byte(255.0 / (1.0 + np.exp(exponent)))
    if window.function == "LINEAR":
        center, width = window.center - 0.5, window.width - 1.0
    else:
        center, width = window.center, window.width
    if width <= 0.0:
        return np.where(values > center, np.uint8(255), np.uint8(0))
    values -= center  # in place: `nan_to_num` has made a copy
    values /= width
    values += 0.5
    np.clip(values, 0.0, 1.0, out=values)
    values *= 255.0
    return _byte(values)


def is_hounsfield(header: Dataset) -> bool:
    """Return whether modality values are Hounsfield units: monochrome CT of RescaleType HU or none."""
    if attributes.text(header, "Modality") != "CT" or attributes.text(header, "RescaleType") not in (
        "",
        "HU",
    ):
        return False
    return attributes.text(header, "PhotometricInterpretation").startswith("MONOCHROME")


def _stored_values(header: Dataset, frames: Sequence[Frame]) -> Iterator[NDArray[Any]]:
    """Yield the pixels of frames of one image."""
    instance = frames[0].instance
    try:
        with opened(instance.source, instance.limits) as file:
            for stored in decoded(file, header, [frame.number - 1 for frame in frames]):
                if attributes.text(header, "PhotometricInterpretation") == "PALETTE COLOR":
                    yield _eight_bits(apply_color_lut(stored, header)[..., :3], _palette_bits(header))
                elif stored.ndim == 3:
                    yield _eight_bits(stored[..., :3], attributes.integer(header, "BitsStored") or 8)
                else:
                    yield stored
    except Exception as error:  # decoders raise whatever they trip over
        raise PixelDataError("pixel data cannot be decoded") from error


def _palette_bits(dataset: Dataset) -> int:
    """Bits of one entry of the palette: third value of its descriptor (PS3.3 C.7.6.3.1.5)."""
    descriptor = attributes.numbers(dataset, "RedPaletteColorLookupTableDescriptor", 3)
    return 16 if descriptor is None else int(descriptor[2])


def _eight_bits(color: NDArray[Any], bits: int) -> Byte:
    """Scale samples of `bits` bits so that their greatest value becomes 255."""
    if bits == 8:
        return color.astype(np.uint8)
    return _byte(color.astype(np.float64) * (255.0 / (2.0**bits - 1.0)))


def _byte(values: NDArray[Any]) -> Byte:
    """Round values from 0 to 255, halves upwards."""
    return (values + 0.5).astype(np.uint8)


def _looked_up(pixels: Pixels) -> Float:
    try:
        return apply_modality_lut(pixels.stored, pixels.header).astype(np.float32)
    except Exception as error:  # the table comes as it stands in the file
        raise PixelDataError("the Modality LUT cannot be applied") from error


def _rescale(pixels: Pixels) -> tuple[float, float]:
    def one(keyword: str, default: float) -> float:
        header, number = pixels.header, pixels.frame.number
        found = attributes.frame_numbers(header, number, "PixelValueTransformationSequence", keyword, 1)
        return default if found is None else found[0]

    return one("RescaleSlope", 1.0), one("RescaleIntercept", 0.0)


def _own_window(pixels: Pixels) -> Window | None:
    """Return the first window of the image, None where it has none."""
    for group in attributes.frame_macro(pixels.header, pixels.frame.number, "FrameVOILUTSequence"):
        center, width = attributes.number(group, "WindowCenter"), attributes.number(group, "WindowWidth")
        if center is None or width is None or width <= 0:
            continue
        match attributes.text(group, "VOILUTFunction"):
            case "SIGMOID":
                return Window(center, width, "SIGMOID")
            case "LINEAR_EXACT":
                return Window(center, width, "LINEAR_EXACT")
            case _:
                return Window(center, width)
    return None


def _voi_looked_up(pixels: Pixels, values: Float) -> Byte | None:
    """Return what the image's VOI LUT makes of modality values.

    None where the image has a window, which goes first, no table, or one that cannot be applied.
    """
    if _own_window(pixels) is not None:
        return None
    groups = attributes.frame_macro(pixels.header, pixels.frame.number, "FrameVOILUTSequence")
    group = next((one for one in groups if attributes.items(one, "VOILUTSequence")), None)
    if group is None:
        return None
    try:
        entries, first, bits = group.VOILUTSequence[0].LUTDescriptor
        last = first + (entries or 1 << 16) - 1
        whole = np.rint(np.clip(np.nan_to_num(values), first, last)).astype(np.int32)
        return _eight_bits(np.minimum(apply_voi_lut(whole, group), (1 << bits) - 1), bits)
    except Exception:  # the table comes as it stands in the file
        return None


def _range_window(pixels: Pixels, values: Float) -> Window:
    """Return the window from the least to the greatest value, PixelPaddingValue left out (C.7.5.1.1.2)."""
    counted = np.isfinite(values)
    padding = attributes.number(pixels.header, "PixelPaddingValue")
    if padding is not None:
        counted &= pixels.stored != padding
    if not counted.any():
        return Window(0.0, 1.0)
    low, high = float(values[counted].min()), float(values[counted].max())
    return Window((low + high) / 2.0, high - low, "LINEAR_EXACT")
