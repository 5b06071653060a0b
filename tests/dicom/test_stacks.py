"""Stacks: spacing and affine are true of every voxel."""

import numpy as np
import pytest
from pydicom import Dataset

from inference_gateway.dicom import stacks
from inference_gateway.dicom.series import Frame, read_study
from tests.dicom.objects import as_file, image, plane
from tests.dicom.stacking import OBLIQUE, at, stack_of


def test_the_spacing_is_that_from_first_to_last_and_a_gap_does_not_widen_it() -> None:
    rounded = [round(1.25 * number, 1) for number in range(20)]
    holed = [one for one in rounded if not 9 < one < 14]
    assert stack_of(at(*holed)).spacing == pytest.approx((1.25, 0.5, 0.25), rel=0.01)


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


def test_a_cine_has_no_spacing_between_planes() -> None:
    cine = image(np.zeros((4, 2, 2), np.uint8), NumberOfFrames=4, SliceThickness=3, PixelSpacing=[1, 1])
    stack = stack_of([cine])
    assert stack.spacing is None
    assert stack.irregularities == ("4 of 4 frames have no position in space",)
    assert stack.timepoints == 1


def test_a_series_of_a_thousand_orientations_costs_no_more_than_its_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turned = [number / 1000 for number in range(1, 1001)]
    frames = np.zeros((len(turned), 8, 8), np.uint8)
    dataset = image(frames, NumberOfFrames=len(turned), Modality="MR")
    groups = []
    for angle in turned:
        orientation, group = Dataset(), Dataset()
        cosines = [np.cos(angle), np.sin(angle), 0, 0, 0, 1]
        orientation.ImageOrientationPatient = [f"{one:.10f}" for one in cosines]
        group.PlaneOrientationSequence = [orientation]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    compared: list[object] = []
    alike = stacks._alike

    def counted(one: Frame, other: Frame) -> bool:
        compared.append(one)
        return alike(one, other)

    monkeypatch.setattr(stacks, "_alike", counted)
    (series,) = read_study([as_file(dataset)]).series
    assert len(series.stacks) > 100
    assert len(compared) < 1000 * 101
