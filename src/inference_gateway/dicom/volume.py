"""A stack of frames → one array with its spacing. Costs four bytes per voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.pixels import modality_values, read_frames
from inference_gateway.dicom.series import Stack, Vector


@dataclass(frozen=True, eq=False)
class Volume:
    """Modality values, float32 of (depth, rows, columns), and the spacing of its axes in mm.

    `spacing` is None where the images do not give it.
    """

    values: NDArray[np.float32]
    spacing: Vector | None


def read_volume(stack: Stack) -> Volume:
    """Return the modality values of a stack in the order of its frames.

    Raises `PixelDataError` where a frame cannot be decoded.
    """
    values = np.empty(stack.shape, dtype=np.float32)
    for plane, pixels in zip(values, read_frames(stack.frames), strict=True):
        plane[...] = modality_values(pixels)
    return Volume(values, stack.spacing)
