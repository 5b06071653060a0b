"""One image: its pixels when they are asked for, and its name."""

import numpy as np
import pytest

from inference_gateway.study import StudyError, read_study
from tests.dicom.objects import as_file, color_image, image
from tests.study.making import ct


def test_values_and_picture_of_an_image() -> None:
    dataset = ct(1)[0]
    (found,) = read_study([as_file(dataset)]).images
    assert (found.shape, found.spacing, found.modality, found.index) == ((12, 10), (0.5, 0.75), "CT", 0)
    assert np.array_equal(found.values(), dataset.pixel_array - np.float32(1024))
    assert found.picture().shape == (12, 10)
    assert found.picture().dtype == np.uint8
    assert found.reference == {"SOPInstanceUID": dataset.SOPInstanceUID}
    assert found.header().Rows == 12


def test_colour_is_shown_as_it_is() -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (4, 6, 3), np.uint8)
    (found,) = read_study([as_file(color_image(pixels))]).images
    assert np.array_equal(found.picture(), pixels)
    assert found.values().shape == (4, 6)
    assert found.spacing is None


def test_pixels_that_cannot_be_read_are_an_error() -> None:
    dataset = image(np.zeros((4, 4, 3), np.uint8), PhotometricInterpretation="HSV", PlanarConfiguration=0)
    (found,) = read_study([as_file(dataset)]).images
    for read in (found.values, found.picture):
        with pytest.raises(
            StudyError, match=r"^its pixels cannot be decoded: its photometric interpretation"
        ):
            read()
