"""Volumes as NIfTI files, and masks out of them, with the geometry kept. Needs the extra `nifti`.

A NIfTI array is (column, row, plane) and its affine leads to x to the patient's right and y to the front
(NIfTI-1, "3D image orientation"). Nothing is resampled: a mask on another grid is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from inference_gateway.extras import extra
from inference_gateway.study.errors import StudyError
from inference_gateway.study.volume import Volume

with extra("nifti", needs=__name__):
    import nibabel as nib

Kind = Literal["probability", "binary", "multi_class", "labels"]

Program = Callable[[Path, Path], object]

# A voxel of a mask may lie beside its voxel in the volume by this part of a voxel.
_OFF_GRID = 0.1

# Scanner coordinates (NIfTI-1, qform_code and sform_code).
_SCANNER = 1


def to_nifti(volume: Volume, path: str | PathLike[str]) -> None:
    """Write a volume as NIfTI: float32, with its affine in sform, and in qform as far as that can have it.

    A name that ends in `.gz` is compressed. Nothing of the patient is in the file but the pixels. Raises
    `StudyError` where the images do not say where they lie.
    """
    make: Any = nib.Nifti1Image
    image = make(volume.values.transpose(2, 1, 0), _affine(volume))
    image.set_sform(image.affine, _SCANNER)
    image.set_qform(image.affine, _SCANNER)  # what a tilted gantry shears is in sform only
    image.header.set_xyzt_units("mm")
    nib.save(image, fspath(path))


def mask_from_nifti(
    volume: Volume, path: str | PathLike[str], kind: Kind = "probability", classes: int | None = None
) -> NDArray[np.uint8]:
    """Return a mask in a NIfTI file as uint8 of the volume's shape, whatever the order of the file's axes.

    `kind`: "probability": 0.0 to 1.0 become 0 to 255, uint8 stays; "binary": 0 and 1 become 0 and 255;
    "multi_class": numbers of classes, from 1, become one binary mask each, (classes, depth, rows, columns);
    "labels": numbers of classes stay. Raises `ValueError` where values are none of that kind, or where the
    file's grid is not that of the volume.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"a kind of mask is one of {', '.join(get_args(Kind))}")
    image: Any = nib.load(fspath(path))
    stored = np.asanyarray(image.dataobj)
    while stored.ndim > 3 and stored.shape[-1] == 1:
        stored = stored[..., 0]
    if stored.ndim != 3:
        raise ValueError(f"a mask of a volume has three axes, and this file has {stored.ndim}")
    values = np.ascontiguousarray(_on_grid(stored, image.affine, volume).transpose(2, 1, 0))
    if kind == "probability":
        return _probabilities(values)
    labels = _whole(values)
    if kind == "labels":
        return labels
    if kind == "binary":
        if labels.max(initial=0) > 1:
            raise ValueError(f"a binary mask is of 0 and 1, and this one has {labels.max()}")
        return labels * np.uint8(255)
    count = int(labels.max(initial=0)) if classes is None else classes
    if labels.max(initial=0) > count:
        raise ValueError(f"a class of number {labels.max()}, and there are {count}")
    return np.stack([(labels == number).astype(np.uint8) * np.uint8(255) for number in range(1, count + 1)])


def through_nifti(
    volume: Volume, program: Program, kind: Kind = "probability", classes: int | None = None
) -> NDArray[np.uint8]:
    """Return the mask that a program makes of a volume, both as NIfTI files.

    `program` is called with two paths: the volume's, and the one that it has to write the mask to. Both lie
    in a temporary folder, and are gone afterwards. Raises what `to_nifti` and `mask_from_nifti` raise.
    """
    with TemporaryDirectory(prefix="inference-gateway-") as folder:
        source, target = Path(folder, "volume.nii"), Path(folder, "mask.nii")
        to_nifti(volume, source)
        program(source, target)
        return mask_from_nifti(volume, target, kind, classes)


def _affine(volume: Volume) -> NDArray[np.float64]:
    """Return the affine from (column, row, plane)."""
    if volume.affine_ras is None:
        raise StudyError("the images do not say where in the patient they lie")
    return volume.affine_ras[:, [2, 1, 0, 3]]


def _on_grid(stored: NDArray[Any], affine: NDArray[np.float64], volume: Volume) -> NDArray[Any]:
    """Return an array in the order of the volume's axes, (column, row, plane)."""
    depth, rows, columns = volume.shape
    to_volume = np.linalg.inv(_affine(volume)) @ affine  # from voxels of the file to those of the volume
    axes = np.rint(to_volume[:3, :3]).astype(int)
    if (abs(axes).sum(axis=0) != 1).any() or (abs(axes).sum(axis=1) != 1).any():
        raise ValueError("the mask lies on another grid: its voxels have another size or direction")
    order = [
        int(np.flatnonzero(axes[axis])[0]) for axis in range(3)
    ]  # the file's axis for each of the volume
    turned = stored.transpose(order)
    if turned.shape != (columns, rows, depth):
        raise ValueError(
            f"the mask has {_written(turned.shape)} columns, rows and planes, and the volume has "
            f"{_written((columns, rows, depth))}"
        )
    flipped = tuple(axis for axis in range(3) if axes[axis, order[axis]] < 0)
    off = _farthest(to_volume, axes, stored.shape, flipped, turned.shape)
    if off > _OFF_GRID:
        raise ValueError(f"the mask lies on another grid: voxels are up to {off:.3g} voxels off")
    found: NDArray[Any] = np.flip(turned, flipped)
    return found


def _farthest(
    to_volume: NDArray[np.float64],
    axes: NDArray[np.int_],
    shape: tuple[int, ...],
    flipped: tuple[int, ...],
    target: tuple[int, ...],
) -> float:
    """Return how many voxels a corner of the file lies beside its corner of the volume, at most."""
    corners = np.array(np.meshgrid(*[(0, length - 1) for length in shape])).reshape(3, -1)
    lies = to_volume[:3, :3] @ corners + to_volume[:3, 3:]
    wanted = (axes @ corners).astype(np.float64)
    for axis in flipped:
        wanted[axis] += target[axis] - 1
    return float(abs(lies - wanted).max())


def _probabilities(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if not np.isfinite(values).all() or values.min(initial=0) < 0 or values.max(initial=0) > 1:
        raise ValueError("a probability is from 0.0 to 1.0, or 0 to 255 of uint8")
    return np.rint(values * 255.0).astype(np.uint8)


def _whole(values: NDArray[Any]) -> NDArray[np.uint8]:
    whole = values.astype(np.uint8)
    if not np.array_equal(whole, values):
        raise ValueError("a number of a class is a whole number from 0 to 255")
    return whole


def _written(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
