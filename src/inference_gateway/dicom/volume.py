"""A stack of frames → one array with its spacing. Costs four bytes per voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.pixels import read_values
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
    return Volume(read_values(stack.frames), stack.spacing)
