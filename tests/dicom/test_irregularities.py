"""What is irregular of a stack is said with numbers, and nothing of one that is regular."""

import numpy as np
import pytest
from pydicom.uid import (
    VLWholeSlideMicroscopyImageStorage,
)

from inference_gateway.dicom.series import read_study
from tests.dicom.objects import as_file, image, plane
from tests.dicom.stacking import OBLIQUE, at, even, stack_of


@pytest.mark.parametrize(
    ("places", "said"),
    [
        (even(10, 2.0), []),
        ([3.5], []),
        ([0, 7.25], []),
        (
            [0, 2, 4, 6, 8, 14, 16, 18],
            ["a gap of 6 mm between planes 5 and 6, where 2 mm is usual"],
        ),
        (
            [*even(6, 2.0), *(200 + one for one in even(6, 2.0))],
            ["a gap of 190 mm between planes 6 and 7, where 2 mm is usual"],
        ),
        (
            [0, 2, 3, 4, 6, 7, 8, 10, 11, 13, 14, 16, 17],
            [
                "a gap of 2 mm between planes 1 and 2, where 1 mm is usual",
                "a gap of 2 mm between planes 4 and 5, where 1 mm is usual",
                "a gap of 2 mm between planes 7 and 8, where 1 mm is usual",
                "2 more gaps",
            ],
        ),
        ([0, 2, 4, 6.5, 8.5], ["uneven steps between planes: from 2 to 2.5 mm"]),
        ([0, 1, 2.2, 3.6, 5], ["uneven steps between planes: from 1 to 1.4 mm"]),
    ],
)
def test_gaps_and_uneven_steps_are_said_with_numbers(places: list[float], said: list[str]) -> None:
    assert list(stack_of(at(*places)).irregularities) == said


@pytest.mark.parametrize(("step", "digits"), [(1.25, 1), (0.7, 1), (2.33, 1), (0.625, 2), (0.33333, 3)])
def test_positions_written_with_few_digits_are_regular_and_their_spacing_is_true(
    step: float, digits: int
) -> None:
    stack = stack_of(at(*(round(step * number, digits) for number in range(41))))
    assert stack.irregularities == ()
    assert stack.spacing == pytest.approx((step, 0.5, 0.25), abs=10**-digits / 40)


def test_a_lost_phase_is_said_and_the_others_stay_in_order() -> None:
    datasets = [
        plane(2.0 * z, TemporalPositionIdentifier=phase, InstanceNumber=1)
        for phase in (1, 2, 3)
        for z in range(8)
    ]
    del datasets[8 + 3]
    stack = stack_of(datasets)
    assert stack.irregularities == ("1 frame is missing of 3 x 8: 2 at place 4 (12 mm)",)
    assert [frame.place.phases[0] for frame in stack.places[3]] == [1, 3]
    assert stack.timepoints == 1


def test_a_duplicate_place_is_said() -> None:
    stack = stack_of([*at(*even(6, 3.0)), plane(6.0, InstanceNumber=9)])
    assert stack.irregularities == ("more frames at one place than 1: 2 at place 3 (12 mm)",)
    assert stack.spacing == pytest.approx((3.0, 0.5, 0.25))


def test_orientations_and_sizes_that_differ_are_said_in_each_stack() -> None:
    (series,) = read_study(map(as_file, [*at(0, 1, 2), plane(0, OBLIQUE)])).series
    assert [stack.irregularities for stack in series.stacks] == [
        ("its series has 2 orientations: 3 of its 4 frames are here",),
        ("its series has 2 orientations: 1 of its 4 frames are here",),
    ]
    other = image(
        np.zeros((4, 4), np.int16), ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[0.5, 0.25]
    )
    (series,) = read_study(map(as_file, [*at(0, 1, 2), other])).series
    assert "2 matrix sizes" in series.stacks[0].irregularities[0]


def test_a_truncated_slice_is_said_in_its_stack() -> None:
    datasets = at(*even(5, 2.0))
    datasets[4].PixelData = datasets[4].PixelData[:-4]
    study = read_study(map(as_file, datasets))
    (stack,) = study.series[0].stacks
    reason = "less pixel data than its header says: 8 of 12 bytes"
    assert [skipped.reason for skipped in study.skipped] == [reason]
    assert stack.irregularities == (f"1 image of its series left out: {reason}",)


def test_many_left_out_images_are_counted() -> None:
    datasets = at(*even(30, 2.0), Rows=2)
    for number, dataset in enumerate(datasets[1:7]):
        dataset.Rows = 3 + number
    (stack,) = read_study(map(as_file, datasets)).series[0].stacks
    assert stack.irregularities[-1] == "3 more images of its series left out"


def test_frames_without_position_are_said() -> None:
    datasets = at(0, 1, 2)
    del datasets[1].ImagePositionPatient
    stack = stack_of(datasets)
    assert stack.irregularities == ("1 of 3 frames have no position in space",)
    assert stack.spacing is None
    assert stack.affine is None


def test_an_unknown_pixel_spacing_is_said() -> None:
    stack = stack_of(at(0, 1, 2, PixelSpacing=None))
    assert stack.irregularities == ("the pixel spacing is not known",)
    assert stack.spacing is None


def test_planes_that_are_shifted_sideways_are_said_and_the_affine_follows_them() -> None:
    datasets = at(*even(5, 3.0))
    for number, dataset in enumerate(datasets):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 0.5 * number, z]
    stack = stack_of(datasets)
    assert stack.irregularities == ("planes are shifted sideways: by up to 2 mm from the first",)
    assert stack.affine is not None
    assert (stack.affine @ [4, 0, 0, 1])[:3] == pytest.approx(stack.frames[-1].position)
    assert stack.spacing == pytest.approx((3.0, 0.5, 0.25))


def test_tiles_of_a_slide_are_no_planes() -> None:
    slide = image(
        np.zeros((6, 2, 2), np.uint8),
        NumberOfFrames=6,
        SOPClassUID=VLWholeSlideMicroscopyImageStorage,
        Modality="SM",
        TotalPixelMatrixColumns=6,
        TotalPixelMatrixRows=4,
        SliceThickness=1,
        PixelSpacing=[0.001, 0.001],
    )
    stack = stack_of([slide])
    assert stack.irregularities == ("6 tiles of a whole-slide image, which are no planes of a volume",)
    assert stack.spacing is None
