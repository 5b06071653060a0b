"""Volumes as NIfTI and masks out of it lie where they lay, whatever the order of the axes."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway.study import StudyError, Volume, read_study
from tests.dicom.objects import as_file, image
from tests.study.making import OBLIQUE, blob, ct, volume_of

nib = pytest.importorskip("nibabel", reason="needs nibabel")


def save(array: Any, volume: Volume, path: Path, order: Any = (0, 1, 2), flips: Any = (1, 1, 1)) -> Path:
    """Write an array of the volume's grid as NIfTI with its axes in another order and direction."""
    assert volume.affine_ras is not None
    stored = nib.Nifti1Image(np.asarray(array).transpose(2, 1, 0), volume.affine_ras[:, [2, 1, 0, 3]])
    turned = np.array([[axis, flip] for axis, flip in zip(order, flips, strict=True)])
    nib.save(stored.as_reoriented(turned), path)
    return path


@pytest.mark.parametrize("name", ["volume.nii", "volume.nii.gz"])
def test_a_volume_is_written_with_its_values_and_its_place(name: str, tmp_path: Path) -> None:
    volume = volume_of(ct(6, OBLIQUE))
    volume.to_nifti(tmp_path / name)
    found = nib.load(tmp_path / name)
    assert volume.affine_ras is not None
    np.testing.assert_array_equal(found.get_fdata().transpose(2, 1, 0), volume.values)
    for affine in (found.get_sform(), found.get_qform()):
        np.testing.assert_allclose(affine, volume.affine_ras[:, [2, 1, 0, 3]], atol=1e-4)
    assert found.header.get_xyzt_units()[0] == "mm"


def test_simpleitk_reads_it_where_the_series_lies(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="needs SimpleITK")
    volume = volume_of(ct(6, OBLIQUE))
    volume.to_nifti(tmp_path / "volume.nii")
    found = sitk.ReadImage(str(tmp_path / "volume.nii"))
    assert volume.affine_lps is not None
    for index in [(0, 0, 0), (9, 11, 5), (3, 2, 1)]:
        place = volume.affine_lps @ [index[2], index[1], index[0], 1]
        assert found.TransformIndexToPhysicalPoint(index) == pytest.approx(place[:3], abs=1e-3)
        assert found[index] == volume.values[index[2], index[1], index[0]]


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_a_mask_comes_back_in_the_order_of_the_volume(order: Any, flips: Any, tmp_path: Path) -> None:
    volume = volume_of(ct(6, OBLIQUE))
    path = save(blob(volume.shape).astype(np.uint8), volume, tmp_path / "mask.nii", order, flips)
    found = volume.mask_from_nifti(path, "binary")
    assert found.dtype == np.uint8
    assert np.array_equal(found, blob(volume.shape) * 255)


def test_kinds(tmp_path: Path) -> None:
    volume = volume_of(ct(6))
    values = np.random.default_rng(1).random(volume.shape).astype(np.float32)
    probability = save(values, volume, tmp_path / "probability.nii")
    assert np.array_equal(volume.mask_from_nifti(probability), np.rint(values * 255))
    labels = blob(volume.shape) * np.arange(6)[:, None, None].astype(np.int16)
    path = save(labels, volume, tmp_path / "labels.nii")
    assert np.array_equal(volume.mask_from_nifti(path, "labels"), labels)
    classes = volume.mask_from_nifti(path, "multi_class", classes=5)
    assert classes.shape == (5, *volume.shape)
    assert classes.dtype == np.uint8
    assert all(np.array_equal(classes[at], (labels == at + 1) * 255) for at in range(5))
    eight = save((values * 255).astype(np.uint8), volume, tmp_path / "eight.nii")
    assert np.array_equal(volume.mask_from_nifti(eight), (values * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("value", "kind", "classes", "said"),
    [
        (2.5, "probability", None, "a probability is from 0.0 to 1.0"),
        (np.nan, "probability", None, "a probability is from 0.0 to 1.0"),
        (2, "binary", None, "a binary mask is of 0 and 1, and this one has 2"),
        (0.5, "binary", None, "a whole number from 0 to 255"),
        (300, "labels", None, "a whole number from 0 to 255"),
        (4, "multi_class", 3, "a class of number 4, and there are 3"),
        (1, "binry", None, "a kind of mask is one of"),
    ],
)
def test_values_of_another_kind_are_refused(
    value: float, kind: Any, classes: int | None, said: str, tmp_path: Path
) -> None:
    volume = volume_of(ct(6))
    path = save(np.full(volume.shape, value, np.float32), volume, tmp_path / "mask.nii")
    with pytest.raises(ValueError, match=said):
        volume.mask_from_nifti(path, kind, classes)


def test_a_mask_on_another_grid_is_refused(tmp_path: Path) -> None:
    volume, path = volume_of(ct(6)), tmp_path / "mask.nii"
    assert volume.affine_ras is not None
    right = volume.affine_ras[:, [2, 1, 0, 3]]
    for change, shape, said in [
        (np.diag([2.0, 1, 1, 1]), (5, 12, 6), "its voxels have another size"),
        (np.eye(4), (10, 12, 5), "10 x 12 x 5 columns, rows and planes, and the volume has 10 x 12 x 6"),
        (np.array([[1, 0, 0, 0.3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), (10, 12, 6), "0.3 voxels off"),
    ]:
        nib.save(nib.Nifti1Image(np.zeros(shape, np.uint8), right @ change), path)
        with pytest.raises(ValueError, match=said):
            volume.mask_from_nifti(path)
    nib.save(nib.Nifti1Image(np.zeros((10, 12, 6, 2), np.uint8), right), path)
    with pytest.raises(ValueError, match="three axes, and this file has 4"):
        volume.mask_from_nifti(path)


def test_what_is_nowhere_cannot_be_written(tmp_path: Path) -> None:
    flat = read_study([as_file(image(np.zeros((4, 4), np.int16)))]).volume(strict=False)
    with pytest.raises(StudyError, match="do not say where"):
        flat.to_nifti(tmp_path / "volume.nii")


def test_a_program_gets_the_volume_and_its_files_are_gone_afterwards() -> None:
    volume = volume_of(ct(6, OBLIQUE))
    seen: list[Path] = []

    def program(source: Path, target: Path) -> None:
        seen.extend((source, target))
        found = nib.load(source)
        nib.save(nib.Nifti1Image((found.get_fdata() > 0).astype(np.uint8), found.affine), target)

    assert np.array_equal(volume.through_nifti(program, "binary"), (volume.values > 0) * 255)
    assert not any(path.parent.exists() for path in seen)
