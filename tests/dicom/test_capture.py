"""Pictures as DICOM objects that can be read again."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from inference_gateway.dicom.capture import make_capture
from tests.dicom.objects import as_file

PICTURES: list[NDArray[Any]] = [
    np.arange(15, dtype=np.uint8).reshape(3, 5),
    np.arange(15, dtype=np.uint16).reshape(3, 5) * 4000,
    np.arange(45, dtype=np.uint8).reshape(3, 5, 3),
]


@pytest.mark.parametrize("picture", PICTURES, ids=["grey", "grey of 16 bits", "RGB"])
def test_a_capture_holds_its_picture(picture: NDArray[Any]) -> None:
    made = make_capture(picture, "1.2.3.4")
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2", "1.2.3"
    read = dcmread(as_file(made))
    assert np.array_equal(read.pixel_array, picture)
    assert (read.SOPClassUID, read.SOPInstanceUID) == (SecondaryCaptureImageStorage, "1.2.3.4")
    assert read.PhotometricInterpretation == ("RGB" if picture.ndim == 3 else "MONOCHROME2")
    assert read.PatientName == ""


def test_captures_have_uids_of_their_own() -> None:
    assert make_capture(PICTURES[0]).SOPInstanceUID != make_capture(PICTURES[0]).SOPInstanceUID


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 5), np.int16),
        np.zeros((3, 5, 3), np.uint16),
        np.zeros((3, 5, 4), np.uint8),
        np.zeros((2,) * 4),
    ],
)
def test_what_is_no_picture_is_refused(array: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="is no grey or RGB picture"):
        make_capture(array)
