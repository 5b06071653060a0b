"""Window centre and width → what a screen shows of modality values (PS3.3 C.11.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference_gateway.dicom import attributes

Float = NDArray[np.float32]
Byte = NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """Window centre and width in modality values, and the VOI LUT function that they go through."""

    center: float
    width: float
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


# Soft tissue in Hounsfield units, for CT images that bring no window.
SOFT_TISSUE = Window(40.0, 400.0)


def apply_window(values: Float, window: Window) -> Byte:
    """Map modality values of any shape to uint8 of that shape, 0 to 255.

    LINEAR: PS3.3 C.11.2.1.2.1, LINEAR_EXACT: C.11.2.1.3.2, SIGMOID: C.11.2.1.3.1. Values that are no number
    come out as that of 0.
    """
    values = np.nan_to_num(values, nan=0.0).astype(np.result_type(values, np.float32), copy=False)
    if window.function == "SIGMOID":
        with np.errstate(over="ignore"):
            exponent = np.clip(-4.0 * (values - window.center) / max(window.width, 1e-6), -80.0, 80.0)
        return to_bytes(255.0 / (1.0 + np.exp(exponent)))
    if window.function == "LINEAR":
        center, width = window.center - 0.5, window.width - 1.0
    else:
        center, width = window.center, window.width
    if width <= 0.0:
        return np.where(values > center, np.uint8(255), np.uint8(0))
    with np.errstate(over="ignore"):  # values at the end of float32 become infinite, and are clipped
        values -= center  # in place: `nan_to_num` has made a copy
        values /= width
    values += 0.5
    np.clip(values, 0.0, 1.0, out=values)
    values *= 255.0
    return to_bytes(values)


def range_window(low: float, high: float) -> Window:
    """Return the window from the least to the greatest of some values."""
    return Window(low / 2.0 + high / 2.0, high - low, "LINEAR_EXACT")


def own_window(header: Dataset, frame_number: int) -> Window | None:
    """Return the first window that the image gives for a frame, None where it gives none."""
    for group in attributes.frame_macro(header, frame_number, "FrameVOILUTSequence"):
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


def to_bytes(values: NDArray[Any]) -> Byte:
    """Round values from 0 to 255, halves upwards."""
    return (values + 0.5).astype(np.uint8)
