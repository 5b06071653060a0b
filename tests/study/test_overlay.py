"""A mask over an image becomes a capture that a viewer shows the right way round."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference_gateway.study import Image
from inference_gateway.study.overlay import make_overlay
from tests.dicom.objects import as_file
from tests.study.making import blob, ct, enhanced, validator_errors, volume_of


def an_image() -> Image:
    return volume_of(ct(6, PatientName="Doe^Jane", PatientID="17")).images[2]


def test_the_mask_lies_where_it_lay_and_the_picture_says_where_that_is() -> None:
    image = an_image()
    mask = np.zeros((12, 10), np.bool_)
    mask[1:3, 6:9] = True
    made = dcmread(as_file(make_overlay(image, mask, "", description="What a model found")))
    pixels = made.pixel_array.astype(int)
    colored = np.argwhere(pixels.max(axis=2) - pixels.min(axis=2) > 20) / pixels.shape[:2] * (12, 10)
    assert colored.min(axis=0) == pytest.approx([1, 6], abs=0.1)
    assert colored.max(axis=0) == pytest.approx([3, 9], abs=0.1)
    assert list(made.PatientOrientation) == ["L", "P"]
    assert made.PixelSpacing[0] * made.Rows == pytest.approx(12 * 0.5)
    assert made.PixelSpacing[1] * made.Columns == pytest.approx(10 * 0.75)
    assert made.PixelSpacing[0] == pytest.approx(made.PixelSpacing[1], rel=0.01)


def test_it_is_of_the_same_patient_and_names_its_image() -> None:
    image = an_image()
    made = make_overlay(image, np.zeros((12, 10), np.uint8), "nothing", series_instance_uid="1.2.9", number=4)
    assert (made.PatientID, made.StudyInstanceUID, made.SeriesInstanceUID) == ("17", "1.2.3", "1.2.9")
    assert (made.InstanceNumber, made.BurnedInAnnotation) == (4, "NO")
    (named,) = made.SourceImageSequence
    assert named.ReferencedSOPInstanceUID == image.sop_instance_uid
    assert "ReferencedFrameNumber" not in named


def test_a_frame_is_named_by_its_number() -> None:
    image = volume_of([enhanced()]).images[1]
    (named,) = make_overlay(image, np.zeros((12, 10), np.uint8), "").SourceImageSequence
    assert named.ReferencedFrameNumber == 4


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a mask of shape \(10, 12\)"):
        make_overlay(an_image(), np.zeros((10, 12), np.uint8), "")


def test_a_validator_finds_no_error(tmp_path: Path) -> None:
    made = make_overlay(an_image(), blob((6, 12, 10))[2], "lesion", caption="for research")
    assert validator_errors(made, tmp_path) == []
