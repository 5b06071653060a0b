"""A stack becomes one array."""

import numpy as np

from inference_gateway.dicom.series import read_study
from inference_gateway.dicom.volume import read_volume
from tests.dicom.objects import as_file, image, plane


def test_planes_are_in_order_and_rescaled() -> None:
    files = [as_file(plane(z, RescaleSlope=2, RescaleIntercept=-1)) for z in (6, 0, 3)]
    (series,) = read_study(files).series
    volume = read_volume(series.stacks[0])
    assert volume.values.dtype == np.float32
    assert volume.values.shape == (3, 2, 3)
    assert volume.values[:, 1, 2].tolist() == [-1.0, 5.0, 11.0]
    assert volume.spacing == (3.0, 0.5, 0.25)


def test_an_unknown_spacing_is_none_and_no_millimetre() -> None:
    (series,) = read_study([as_file(image(np.ones((2, 2), np.int16)))]).series
    assert read_volume(series.stacks[0]).spacing is None
