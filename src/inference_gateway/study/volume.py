"""One volume of a series: modality values with their place in the patient. Costs four bytes per voxel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom import volume as dicom
from inference_gateway.dicom.instances import Frame
from inference_gateway.study.images import Image
from inference_gateway.study.planes import Planes

if TYPE_CHECKING:
    from inference_gateway.study.nifti import Kind, Program

Affine = NDArray[np.float64]

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Volume(dicom.Volume, Planes):
    """Modality values, float32 of (depth, rows, columns), and where they lie.

    `spacing`: mm between planes, rows and columns. `affine_lps` leads from (plane, row, column, 1) to (x, y,
    z, 1) in mm, x to the patient's left, y to the back, z to the head, as DICOM and ITK have them. Both are
    None where the images do not give them. `frames` has the frame of each plane; `timepoint` counts from 0.
    """

    frames: tuple[Frame, ...] = field(repr=False)
    affine_lps: Affine | None = field(repr=False)
    timepoint: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Depth, rows, columns."""
        depth, rows, columns = self.values.shape
        return depth, rows, columns

    @property
    def timepoints(self) -> int:
        """A volume is of one time."""
        return 1

    @property
    def affine_ras(self) -> Affine | None:
        """The affine with x to the patient's right and y to the front, as NIfTI has them."""
        return None if self.affine_lps is None else _TO_RAS @ self.affine_lps

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """The image of each plane."""
        return tuple(map(Image, self.frames))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy)

    def to_nifti(self, path: str | PathLike[str]) -> None:
        """Write the volume as NIfTI: see `nifti.to_nifti`."""
        from inference_gateway.study import nifti

        nifti.to_nifti(self, path)

    def mask_from_nifti(
        self, path: str | PathLike[str], kind: Kind = "probability", classes: int | None = None
    ) -> NDArray[np.uint8]:
        """Return a mask of this volume out of a NIfTI file: see `nifti.mask_from_nifti`."""
        from inference_gateway.study import nifti

        return nifti.mask_from_nifti(self, path, kind, classes)

    def through_nifti(
        self, program: Program, kind: Kind = "probability", classes: int | None = None
    ) -> NDArray[np.uint8]:
        """Return the mask that a program makes of this volume: see `nifti.through_nifti`."""
        from inference_gateway.study import nifti

        return nifti.through_nifti(self, program, kind, classes)
