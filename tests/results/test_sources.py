"""What an entry says of where it lies, and shapes that do not fit."""

from typing import Any

import numpy as np
import pytest

from inference_gateway.results import described
from inference_gateway.results.sources import reference_to, series_uid_of
from tests.dicom.objects import image
from tests.results.series import Series

VOLUME = {"timepoints": 1, "depth": 3, "height": 4, "width": 5}
PLANE = {"height": 4, "width": 5}


def frames(count: int) -> Any:
    return image(np.zeros((count, 4, 5), np.int16), SOPInstanceUID="1.9", NumberOfFrames=count)


@pytest.mark.parametrize(
    ("source", "shape", "plane", "keys"),
    [
        (Series(), (3, 4, 5), None, {"binary_data_shape": VOLUME, "SeriesInstanceUID": "1.2.3"}),
        (Series(), (1, 3, 4, 5), None, {"binary_data_shape": VOLUME, "SeriesInstanceUID": "1.2.3"}),
        (
            Series(timepoints=2),
            (2, 3, 4, 5),
            None,
            {"binary_data_shape": {**VOLUME, "timepoints": 2}, "SeriesInstanceUID": "1.2.3"},
        ),
        (Series(), (4, 5), 1, {"binary_data_shape": PLANE, "dicom_image": {"SOPInstanceUID": "1.2.3.2"}}),
        (
            Series((1, 4, 5), "1", ["2"]),
            (4, 5),
            None,
            {"binary_data_shape": PLANE, "dicom_image": {"SOPInstanceUID": "2"}},
        ),
        (
            Series((2, 4, 5), "1", ["2", "2"], frame_numbers=[2, 1]),
            (4, 5),
            0,
            {"binary_data_shape": PLANE, "dicom_image": {"SOPInstanceUID": "2", "frame_number": 2}},
        ),
        (frames(1), (4, 5), None, {"binary_data_shape": PLANE, "dicom_image": {"SOPInstanceUID": "1.9"}}),
        (
            frames(3),
            (4, 5),
            2,
            {"binary_data_shape": PLANE, "dicom_image": {"SOPInstanceUID": "1.9", "frame_number": 3}},
        ),
    ],
)
def test_described(source: Any, shape: tuple[int, ...], plane: int | None, keys: dict[str, Any]) -> None:
    assert described(source, shape, plane) == keys


@pytest.mark.parametrize(
    ("source", "shape", "plane", "said"),
    [
        (Series(), (5, 4, 3), None, "5 x 4 x 3, and the series is 3 x 4 x 5 (depth, rows, columns): turn"),
        (Series(), (2, 4, 5), None, "2 x 4 x 5, and the series is 3 x 4 x 5"),
        (Series(), (4, 5), None, "one plane, and the series has 3: say which by plane="),
        (Series(), (5, 4), 1, "5 x 4, and a plane of the series is 4 x 5 (rows, columns)"),
        (Series(timepoints=2), (2, 3, 5, 4), None, "the series is 2 x 3 x 4 x 5 (timepoints, depth, rows"),
        (frames(1), (5, 4), None, "5 x 4, and the image is 4 x 5 (rows, columns): turn its axes"),
        (
            frames(1),
            (4, 5, 3),
            None,
            "4 x 5 x 3, and the image is 4 x 5 (rows, columns): a mask has no colours",
        ),
        (frames(3), (4, 5), None, "one plane, and the image has 3"),
        (frames(3), (3, 5, 4), None, "the image is 3 x 4 x 5 (frames, rows, columns)"),
    ],
)
def test_a_shape_that_does_not_fit(source: Any, shape: tuple[int, ...], plane: int | None, said: str) -> None:
    with pytest.raises(ValueError, match="the array is") as caught:
        described(source, shape, plane)
    assert said in str(caught.value)


def test_there_is_no_such_plane() -> None:
    for source, plane in ((Series(), 3), (Series(), -1), (frames(1), 1)):
        with pytest.raises(IndexError, match="planes are counted from 0 to"):
            reference_to(source, plane)


def test_what_is_no_source() -> None:
    with pytest.raises(TypeError, match=r"on a series or an image, .* not on a ndarray"):
        series_uid_of(np.zeros(3))
