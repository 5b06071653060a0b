"""Where frames lie: doses, nuclear medicine, enhanced images."""

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    NuclearMedicineImageStorage,
    RTDoseStorage,
)

from inference_gateway.dicom.series import Stack, read_study
from inference_gateway.dicom.volume import read_volume
from tests.dicom.objects import as_file, image

FLIPPED = [1, 0, 0, 0, -1, 0]


def stack_of(dataset: Dataset) -> Stack:
    ((stack,),) = (series.stacks for series in read_study([as_file(dataset)]).series)
    return stack


def dose(offsets: list[float], **attributes: Any) -> Dataset:
    values = np.arange(1, len(offsets) + 1, dtype=np.uint32)[:, None, None] * np.full((2, 2), 100, np.uint32)
    described = {
        "SOPClassUID": RTDoseStorage,
        "Modality": "RTDOSE",
        "NumberOfFrames": len(offsets),
        "ImagePositionPatient": [1, 2, -50],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [2, 2],
        "GridFrameOffsetVector": offsets,
        "DoseGridScaling": "0.001",
        "FrameIncrementPointer": 0x3004000C,
    }
    return image(values, **described | attributes)


@pytest.mark.parametrize(
    ("offsets", "orientation", "heights"),
    [
        ([0, 2.5, 5], [1, 0, 0, 0, 1, 0], [-50, -47.5, -45]),
        ([0, -2.5, -5], [1, 0, 0, 0, 1, 0], [-55, -52.5, -50]),
        ([-50, -47.5, -45], [1, 0, 0, 0, 1, 0], [-50, -47.5, -45]),
        ([0, 2.5, 5], FLIPPED, [-50, -52.5, -55]),
        ([10, 12.5, 15], [1, 0, 0, 0, 1, 0], [-50, -47.5, -45]),
    ],
)
def test_planes_of_a_dose_lie_where_its_grid_says(
    offsets: list[float], orientation: list[float], heights: list[float]
) -> None:
    stack = stack_of(dose(offsets, ImageOrientationPatient=orientation))
    assert [frame.position for frame in stack.frames] == [(1.0, 2.0, height) for height in heights]
    assert stack.spacing == (2.5, 2.0, 2.0)
    assert stack.timepoints == 1
    assert stack.irregularities == ()


def test_a_dose_is_scaled_to_its_units() -> None:
    volume = read_volume(stack_of(dose([0, 2.5, 5])))
    assert volume.values[:, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_a_dose_whose_grid_does_not_fit_has_no_places() -> None:
    for grid in ([0, 2.5], None):
        stack = stack_of(dose([0, 2.5, 5], GridFrameOffsetVector=grid))
        assert stack.irregularities == ("3 of 3 frames have no position in space",)


def nuclear(spacing: float, **attributes: Any) -> Dataset:
    detector = Dataset()
    detector.ImagePositionPatient = [-10, -20, 30]
    detector.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    described = {
        "SOPClassUID": NuclearMedicineImageStorage,
        "Modality": "NM",
        "NumberOfFrames": 4,
        "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        "PixelSpacing": [4, 4],
        "SpacingBetweenSlices": spacing,
        "SliceVector": [1, 2, 3, 4],
        "DetectorInformationSequence": [detector],
    }
    return image(np.zeros((4, 2, 2), np.uint16), **described | attributes)


@pytest.mark.parametrize(
    ("spacing", "heights", "numbers"),
    [(4.5, [30, 34.5, 39, 43.5], [1, 2, 3, 4]), (-4.5, [16.5, 21, 25.5, 30], [4, 3, 2, 1])],
)
def test_the_sign_of_their_spacing_says_where_nuclear_slices_lie(
    spacing: float, heights: list[float], numbers: list[int]
) -> None:
    stack = stack_of(nuclear(spacing))
    assert [frame.position for frame in stack.frames] == [(-10.0, -20.0, height) for height in heights]
    assert [frame.number for frame in stack.frames] == numbers
    assert stack.spacing == (4.5, 4.0, 4.0)
    assert stack.irregularities == ()


def test_gated_nuclear_slices_are_phases() -> None:
    stack = stack_of(nuclear(4.5, SliceVector=[1, 2, 1, 2], TimeSlotVector=[2, 2, 1, 1]))
    assert stack.timepoints == 2
    assert [frame.number for frame in stack.frames] == [3, 1, 4, 2]


def test_projections_have_no_place() -> None:
    stack = stack_of(nuclear(4.5, SliceVector=None, RotationVector=[1, 1, 1, 1]))
    assert stack.irregularities == ("4 of 4 frames have no position in space",)
    assert [frame.number for frame in stack.frames] == [1, 2, 3, 4]


def enhanced(frames: list[tuple[float, Dataset]]) -> Dataset:
    values = np.arange(len(frames), dtype=np.int16)[:, None, None] * np.ones((2, 2), np.int16)
    dataset = image(values, NumberOfFrames=len(frames), Modality="MR", PixelSpacing=[1, 1])
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PerFrameFunctionalGroupsSequence = []
    for z, group in frames:
        position = Dataset()
        position.ImagePositionPatient = [0, 0, z]
        group.PlanePositionSequence = [position]
        dataset.PerFrameFunctionalGroupsSequence.append(group)
    return dataset


def in_group(sequence: str, keyword: str, value: Any) -> Dataset:
    item, group = Dataset(), Dataset()
    setattr(item, keyword, value)
    setattr(group, sequence, [item])
    return group


@pytest.mark.parametrize(
    ("sequence", "keyword", "first", "second"),
    [
        ("FrameContentSequence", "TemporalPositionIndex", 1, 2),
        ("FrameContentSequence", "FrameAcquisitionNumber", 1, 2),
        ("FrameContentSequence", "FrameAcquisitionDateTime", "20200101101010", "20200101101011"),
        ("FrameContentSequence", "DimensionIndexValues", [1, 7], [2, 7]),
        ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", 0.0, 40.0),
        ("TemporalPositionSequence", "TemporalPositionTimeOffset", 0.0, 40.0),
        ("MREchoSequence", "EffectiveEchoTime", 9.0, 90.0),
        ("MRDiffusionSequence", "DiffusionBValue", 0.0, 1000.0),
    ],
)
def test_an_enhanced_image_is_in_the_order_of_its_dimensions(
    sequence: str, keyword: str, first: Any, second: Any
) -> None:
    later = [(float(z), in_group(sequence, keyword, second)) for z in (1, 0)]
    sooner = [(float(z), in_group(sequence, keyword, first)) for z in (1, 0)]
    stack = stack_of(enhanced([*later, *sooner]))
    assert stack.timepoints == 2
    assert [frame.number for frame in stack.frames] == [4, 2, 3, 1]


def test_an_orientation_that_spans_no_plane_is_unknown() -> None:
    dataset = image(
        np.zeros((2, 2), np.int16), ImageOrientationPatient=[0] * 6, ImagePositionPatient=[0, 0, 0]
    )
    (frame,) = stack_of(dataset).frames
    assert frame.orientation is None
    assert frame.distance is None
