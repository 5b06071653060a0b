"""Places are clusters, not roundings; phases are in the order of what the images say of time."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    SegmentationStorage,
)

from tests.dicom.objects import image, plane
from tests.dicom.stacking import at, even, stack_of


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
