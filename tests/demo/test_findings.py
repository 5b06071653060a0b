"""What is found on CT and elsewhere."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from inference_gateway.demo.findings import LESION_HU, Finding, find_in_pixels, find_in_stack
from inference_gateway.demo.phantom import make_phantom
from inference_gateway.dicom.pixels import read_frames
from inference_gateway.dicom.series import Stack, read_study
from inference_gateway.dicom.sources import Source
from tests.demo.study import PHANTOM, files
from tests.dicom.objects import as_file, color_image, image


def stack_of(sources: list[Source]) -> Stack:
    ((stack,),) = (series.stacks for series in read_study(sources).series)
    return stack


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2.0 * float((one & other).sum()) / float(one.sum() + other.sum())


def found_in(dataset: Dataset) -> Finding:
    (pixels,) = read_frames(stack_of([as_file(dataset)]).frames)
    alone, stacked = find_in_pixels(pixels), find_in_stack(stack_of([as_file(dataset)]))
    assert np.array_equal(alone.mask(), stacked.mask())
    assert alone.label == stacked.label
    return alone


@pytest.mark.parametrize("seed", range(3))
def test_the_lesion_of_the_phantom_is_found(seed: int) -> None:
    phantom = make_phantom(slices=32, rows=128, columns=128, seed=seed)
    finding = find_in_stack(stack_of([*files(phantom)]))
    mask = finding.mask()
    assert finding.label == "lesion"
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert dice(mask == 255, phantom.lesion) > 0.9


def test_each_slice_alone_shows_its_part_of_the_lesion_and_no_other() -> None:
    slices = [find_in_pixels(one).mask()[0] for one in read_frames(stack_of([*files()]).frames)]
    assert dice(np.stack(slices) == 255, PHANTOM.lesion) > 0.9


def test_nothing_is_found_without_a_lesion() -> None:
    above = [file for file, lesion in zip(files(), PHANTOM.lesion, strict=True) if not lesion.any()]
    finding = find_in_stack(stack_of([*above]))
    assert finding.label == "lesion"
    assert not finding.found
    assert not finding.mask().any()


def hounsfield(values: NDArray[np.int16]) -> Dataset:
    return image(values, RescaleSlope=1, RescaleIntercept=-1024) if values.min() >= 0 else image(values)


def test_the_edge_of_bone_is_no_lesion() -> None:
    values = np.full((40, 40), 40, np.int16)
    values[5:20, 5:20] = 180  # between tissue and bone, as partial volume is
    values[7:18, 7:18] = 900
    values[30:34, 10:16] = 180
    mask = found_in(image(values)).mask()[0]
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 33, 10, 15)


def test_what_is_smaller_than_noise_is_not_found() -> None:
    values = np.full((20, 20), 40, np.int16)
    values[10, 10] = 250
    assert not found_in(image(values)).found


def test_the_range_of_a_lesion_is_open() -> None:
    low, high = LESION_HU
    assert not found_in(image(np.full((9, 9), low, np.int16))).found
    assert found_in(image(np.full((9, 9), low + 1, np.int16))).runs.voxels == 81
    assert found_in(image(np.full((9, 9), high, np.int16))).runs.voxels == 81
    assert not found_in(image(np.full((9, 9), high + 1, np.int16))).found


def test_elsewhere_the_largest_bright_region_is_found() -> None:
    values = np.full((40, 50), 100, np.uint16)
    values[4:30, 5:15] = 900
    values[20:25, 30:40] = 1000
    finding = found_in(image(values, Modality="MR"))
    expected = np.zeros((40, 50), bool)
    expected[4:30, 5:15] = True
    assert finding.label == "bright region"
    assert dice(finding.mask()[0] == 255, expected) > 0.95


def test_colour_is_judged_by_its_luma() -> None:
    values = np.zeros((20, 20, 3), np.uint8)
    values[:, :, 2] = 255  # pure blue is dark
    values[5:15, 5:15] = (0, 255, 0)
    mask = found_in(color_image(values)).mask()[0]
    assert mask[10, 10] == 255
    assert mask[0, 0] == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (30, 1)])
def test_small_and_flat_images_do_no_harm(shape: tuple[int, int]) -> None:
    flat = np.full(shape, 7, np.int16)
    for dataset in (image(flat), image(flat, Modality="MR")):
        assert not found_in(dataset).found


def test_the_threshold_of_a_stack_is_one_for_all_its_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plane that is dark all over shows nothing beside a bright one; so with few samples."""
    from inference_gateway.demo import findings

    dark, bright = np.full((2, 24, 24), 100, np.uint16)
    dark[:12, :12] = 140
    bright[4:16, 6:18] = 1000
    sources = [as_file(image(one, Modality="MR", InstanceNumber=at)) for at, one in enumerate((dark, bright))]
    for samples in (1 << 20, 64):
        monkeypatch.setattr(findings, "_SAMPLES", samples)
        mask = find_in_stack(stack_of([*sources])).mask()
        assert not mask[0].any()
        assert mask[1, 10, 12] == 255


def test_pixels_that_are_no_numbers_do_no_harm() -> None:
    dataset = image(np.zeros((6, 6), np.int32), Modality="PT")
    values = np.full((6, 6), np.nan, np.float32)
    values[:3] = [[1, 1, 1, 9, 9, 9]] * 3
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.FloatPixelData = values.tobytes()
    assert not found_in(dataset).found
