"""The height of pixels by their width, wherever an image says it."""

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from inference_gateway.dicom.proportions import aspect_of
from inference_gateway.dicom.series import read_study
from tests.dicom.objects import as_file, image


def region(**attributes: Any) -> Dataset:
    found = Dataset()
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found


ULTRASOUND = {"PhysicalDeltaX": 0.01, "PhysicalDeltaY": 0.02, "PhysicalUnitsYDirection": 3}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, 1.0),
        ({"PixelSpacing": [3, 1]}, 3.0),
        ({"PixelSpacing": [0, 1], "ImagerPixelSpacing": [1, 4]}, 0.25),
        ({"NominalScannedPixelSpacing": [1, 2]}, 0.5),
        ({"PixelAspectRatio": [2, 1]}, 2.0),
        ({"PixelAspectRatio": [0, 1]}, 1.0),
        ({"PixelAspectRatio": [2147483647, 1]}, 1.0),
        ({"PixelSpacing": [0.0001, 1000000]}, 1.0),
        ({"SequenceOfUltrasoundRegions": [region(**ULTRASOUND, PhysicalUnitsXDirection=3)]}, 2.0),
        ({"SequenceOfUltrasoundRegions": [region(**ULTRASOUND, PhysicalUnitsXDirection=4)]}, 1.0),
        ({"SequenceOfUltrasoundRegions": [region()]}, 1.0),
    ],
)
def test_the_first_that_says_it_decides(attributes: dict[str, Any], expected: float) -> None:
    source = as_file(image(np.zeros((2, 3), np.uint8), **attributes))
    (stack,) = read_study([source]).series[0].stacks
    assert aspect_of(stack.frames[0], stack.frames[0].instance.read_header()) == pytest.approx(expected)
