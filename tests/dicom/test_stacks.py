"""Stacks: irregularities are said with numbers, spacing and affine are true, phases are in order."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import SegmentationStorage, VLWholeSlideMicroscopyImageStorage

from inference_gateway.dicom.series import Stack, read_study
from tests.dicom.objects import as_file, image, plane

OBLIQUE = [2 / 3, 1 / 3, 2 / 3, -2 / 3, 2 / 3, 1 / 3]


def stack_of(datasets: Iterable[Dataset]) -> Stack:
    shuffled = list(datasets)
    random.Random(5).shuffle(shuffled)
    ((stack,),) = (series.stacks for series in read_study(map(as_file, shuffled)).series)
    return stack


def at(*places: float, **attributes: Any) -> list[Dataset]:
    return [plane(z, InstanceNumber=number, **attributes) for number, z in enumerate(places, start=1)]


def even(count: int, step: float) -> list[float]:
    return [round(step * number, 6) for number in range(count)]


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


def test_the_spacing_is_that_from_first_to_last_and_a_gap_does_not_widen_it() -> None:
    rounded = [round(1.25 * number, 1) for number in range(20)]
    holed = [one for one in rounded if not 9 < one < 14]
    assert stack_of(at(*holed)).spacing == pytest.approx((1.25, 0.5, 0.25), rel=0.01)


@pytest.mark.parametrize("jitter", [0.0, 1e-7, 0.0001, 0.003, 0.02])
def test_places_that_differ_by_jitter_are_one(jitter: float) -> None:
    shaken = random.Random(7)
    datasets = [
        plane(z * 2.0005 + shaken.uniform(-jitter, jitter), InstanceNumber=8 * phase + z + 1)
        for phase in range(3)
        for z in range(8)
    ]
    stack = stack_of(datasets)
    assert stack.timepoints == 3
    assert [len(place) for place in stack.places] == [3] * 8
    assert [frame.instance.instance_number for frame in stack.places[2]] == [3, 11, 19]


def test_thin_slices_with_a_hole_are_not_taken_for_jitter() -> None:
    places = [*even(10, 0.4), *(20 + one for one in even(10, 0.4))]
    stack = stack_of(at(*places, PixelSpacing=[2, 2]))
    assert (len(stack.places), stack.timepoints) == (20, 1)


PHASES: list[tuple[str, Sequence[Any]]] = [
    ("TemporalPositionIdentifier", [3, 1, 2]),
    ("AcquisitionNumber", [30, 2, 11]),
    ("AcquisitionTime", ["101010.5", "091500", "101010.25"]),
    ("AcquisitionDateTime", ["20200103", "20200101235959", "20200102"]),
    ("TriggerTime", ["700", "0", "33.5"]),
    ("EchoTime", ["90", "9", "12"]),
    ("DiffusionBValue", [1000.0, 0.0, 50.0]),
]


@pytest.mark.parametrize(("keyword", "values"), PHASES, ids=[keyword for keyword, _ in PHASES])
def test_phases_are_told_apart_by_what_the_images_say_of_time(keyword: str, values: Sequence[Any]) -> None:
    # InstanceNumber says the opposite and must not matter.
    datasets = [
        plane(2.0 * z, InstanceNumber=100 - 10 * order - z, **{keyword: value})
        for z in range(4)
        for order, value in zip((2, 0, 1), values, strict=True)
    ]
    stack = stack_of(datasets)
    assert stack.timepoints == 3
    assert stack.irregularities == ()
    for place in stack.places:
        assert [(100 - (frame.instance.instance_number or 0)) // 10 for frame in place] == [0, 1, 2]


def test_a_key_that_does_not_split_every_place_evenly_is_not_taken() -> None:
    datasets = [
        plane(z, AcquisitionNumber=1 if z or phase else 2, EchoTime=str(10 - phase), InstanceNumber=phase)
        for z in range(3)
        for phase in range(2)
    ]
    stack = stack_of(datasets)
    assert [[frame.instance.instance_number for frame in place] for place in stack.places] == [[1, 0]] * 3


def test_two_keys_split_one_after_the_other() -> None:
    datasets = [
        plane(z, TemporalPositionIdentifier=time, EchoTime=str(echo), InstanceNumber=10 * time + echo)
        for z in range(3)
        for time in (1, 2)
        for echo in (5, 9)
    ]
    for place in stack_of(datasets).places:
        assert [frame.instance.instance_number for frame in place] == [15, 19, 25, 29]


def test_acquisition_numbers_that_go_on_from_place_to_place_are_phases_too() -> None:
    datasets = [plane(z, AcquisitionNumber=1 + z + 5 * phase) for phase in range(2) for z in range(5)]
    for place in stack_of(datasets).places:
        first, second = (frame.place.phases[1] for frame in place)
        assert isinstance(first, float)
        assert second == first + 5


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


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], OBLIQUE, [-1, 0, 0, 0, 1, 0]])
def test_the_affine_leads_from_voxels_to_the_patient(orientation: list[float]) -> None:
    stack = stack_of(plane(2.5 * z, orientation, InstanceNumber=z) for z in range(6))
    affine = stack.affine
    assert affine is not None
    for number, frame in enumerate(stack.frames):
        assert (affine @ [number, 0, 0, 1])[:3] == pytest.approx(frame.position, abs=1e-4)
    along_column = affine @ [0, 2, 0, 0]
    assert along_column[:3] == pytest.approx(np.array(orientation[3:]) * 2 * 0.5)
    along_row = affine @ [0, 0, 2, 0]
    assert along_row[:3] == pytest.approx(np.array(orientation[:3]) * 2 * 0.25)


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


def test_a_cine_has_no_spacing_between_planes() -> None:
    cine = image(np.zeros((4, 2, 2), np.uint8), NumberOfFrames=4, SliceThickness=3, PixelSpacing=[1, 1])
    stack = stack_of([cine])
    assert stack.spacing is None
    assert stack.irregularities == ("4 of 4 frames have no position in space",)
    assert stack.timepoints == 1


def test_frames_know_those_that_are_shown_on_one_range() -> None:
    stack = stack_of(at(0, 1, 2))
    (peers,) = {id(frame.peers) for frame in stack.frames}
    assert peers == id(stack.frames[0].peers)
    assert stack.frames[0].peers is not None
    assert len(stack.frames[0].peers.members) == 3


def test_a_segmentation_of_several_segments_is_in_the_order_of_its_dimensions() -> None:
    dataset = image(
        np.zeros((6, 2, 2), np.uint8), NumberOfFrames=6, SOPClassUID=SegmentationStorage, Modality="SEG"
    )
    groups = []
    for segment in (2, 1):
        for z in (0, 1, 2):
            content, position, group = Dataset(), Dataset(), Dataset()
            content.DimensionIndexValues = [segment, z + 1]
            position.ImagePositionPatient = [0, 0, z]
            group.FrameContentSequence, group.PlanePositionSequence = [content], [position]
            groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    stack = stack_of([dataset])
    assert [frame.number for frame in stack.frames] == [4, 1, 5, 2, 6, 3]
