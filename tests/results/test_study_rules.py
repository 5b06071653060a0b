"""An answer held against studies of every kind: what is right must pass, and few headers are read for it."""

from typing import Any

import numpy as np
import pytest

from inference_gateway.results.study_rules import Study, faults_of
from tests.dicom.objects import as_file, image, plane

CORONAL = [1, 0, 0, 0, 0, -1]


def files(*datasets: Any) -> list[bytes]:
    return [as_file(dataset).getvalue() for dataset in datasets]


def series(count: int, uid: str = "1.2.3.4", **more: Any) -> list[Any]:
    return [plane(z, SeriesInstanceUID=uid, **more) for z in range(count)]


def told(study: list[bytes], *parts: dict[str, Any], **more: Any) -> list[str]:
    heads = [lambda size, data=data: data[:size] for data in study]
    return [str(fault) for fault in faults_of({"parts": list(parts), **more}, Study(heads))]


def mask(*shape: int, uid: str = "1.2.3.4") -> dict[str, Any]:
    axes = ("timepoints", "depth", "height", "width")[4 - len(shape) :]
    told = dict(zip(axes, shape, strict=True))
    return {"binary_type": "heatmap", "SeriesInstanceUID": uid, "binary_data_shape": told}


TWO_STACKS = files(*series(4), *(plane(z, CORONAL) for z in range(3)))
LOCALIZER = files(*series(4), image(np.zeros((7, 9), np.int16)))
TWO_SPACINGS = files(*series(4), *(plane(z, PixelSpacing=[2, 2]) for z in range(3)))
STACKS_IN_ONE = files(image(np.zeros((8, 2, 3), np.int16), NumberOfFrames=8))
FRAMES = files(image(np.zeros((6, 2, 3), np.int16), NumberOfFrames=6, SOPInstanceUID="1.9"))


@pytest.mark.parametrize(
    ("study", "shape"),
    [
        (files(*series(4)), (4, 2, 3)),
        (files(*series(4)), (1, 4, 2, 3)),
        (files(*series(4), *series(5, "1.2.3.5")), (4, 2, 3)),
        (files(*series(4), *series(4)), (2, 4, 2, 3)),
        (files(*series(4), *series(4)), (1, 4, 2, 3)),
        (TWO_STACKS, (4, 2, 3)),
        (TWO_STACKS, (3, 2, 3)),
        (TWO_SPACINGS, (4, 2, 3)),
        (TWO_SPACINGS, (3, 2, 3)),
        (STACKS_IN_ONE, (5, 2, 3)),
        (LOCALIZER, (4, 2, 3)),
        (LOCALIZER, (1, 7, 9)),
        (FRAMES, (6, 2, 3)),
        (FRAMES, (2, 3, 2, 3)),
        (FRAMES, (3, 2, 3)),
        (files(*series(1)), (2, 3)),
    ],
)
def test_masks_that_lie_over_their_series(study: list[bytes], shape: tuple[int, ...]) -> None:
    assert told(study, mask(*shape)) == []


@pytest.mark.parametrize(
    ("study", "shape", "said"),
    [
        (files(*series(4)), (2, 2, 3), "2 x 2 x 3 came; write 4 x 2 x 3"),
        (files(*series(4)), (2, 3), "one plane came for a series of 4; write dicom_image"),
        (files(*series(4), *series(4)), (3, 2, 3), "3 x 2 x 3 came; write 8 x 2 x 3"),
        (files(*series(4)), (3, 2, 3), "3 x 2 x 3 came; write 4 x 2 x 3"),
        (files(*series(4), *series(5, "1.2.3.5")), (5, 2, 3), "5 x 2 x 3 came; write 4 x 2 x 3"),
        (files(*series(4)), (4, 3, 2), "4 x 3 x 2 came, which fits only with its axes swapped"),
        (files(*series(4)), (2, 3, 4), "2 x 3 x 4 came, which fits only with its axes swapped"),
        (files(*series(4)), (3, 2), "3 x 2 came, which fits only with its axes swapped"),
        (TWO_STACKS, (8, 2, 3), "8 x 2 x 3 came; write 7 x 2 x 3"),
        (LOCALIZER, (4, 8, 8), "4 x 8 x 8 came; write height and width of the images of its series"),
        (FRAMES, (7, 2, 3), "7 x 2 x 3 came; write 6 x 2 x 3"),
    ],
)
def test_masks_that_do_not(study: list[bytes], shape: tuple[int, ...], said: str) -> None:
    (line,) = told(study, mask(*shape))
    assert f"parts[0].binary_data_shape: {said}" in line


def test_few_headers_are_read_for_a_right_answer() -> None:
    read = 0
    study = files(*series(50))

    def head(data: bytes) -> Any:
        def first(size: int) -> bytes:
            nonlocal read
            read += 1
            return data[:size]

        return first

    assert list(faults_of({"parts": [mask(50, 2, 3)] * 20}, Study([head(data) for data in study]))) == []
    assert read == 1


def test_frames_are_counted_from_1_and_0_means_the_first() -> None:
    for frame, count in ((0, 0), (1, 0), (6, 0), (7, 1)):
        box = {"SOPInstanceUID": "1.9", "frame_number": frame, "top_left": [0, 0], "bottom_right": [1, 1]}
        assert len(told(FRAMES, bounding_boxes_2d=[box])) == count


@pytest.mark.parametrize(
    ("corners", "said"),
    [
        (([0, 0], [2, 1]), None),
        (([-0.5, -0.5], [3.5, 2.5]), None),
        (([0, 0], [9, 9]), "far beyond its edge"),
        (([-9, 0], [1, 1]), "far beyond its edge"),
        (([0, 2.9], [1, 2.95]), None),
        (([0, 3.5], [1, 3.9]), "only with column and row swapped"),
        (([10, 10], [20, 20]), "outside"),
        (([-20, -20], [-10, -10]), "outside"),
    ],
)
def test_boxes_on_their_image(corners: Any, said: str | None) -> None:
    box = {"SOPInstanceUID": "1.9", "top_left": corners[0], "bottom_right": corners[1]}
    lines = told(FRAMES, bounding_boxes_2d=[box])
    assert [said in line for line in lines] == ([] if said is None else [True])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("start", "end", "faults"),
    [
        ([4, -5, 6], [12, -1, 6], 0),  # the corners of its plane: columns of 4 mm, rows of 4 mm
        ([0.0, 0.0], [1.0, 1.0], 0),  # cannot be placed
        ([4, -5, 6], [40, -5, 6], 1),
        ([400, 0, 6], [400, 1, 6], 1),
        ([4, -5, 6], [4.5, -4.75, 6], 0),
    ],
)
def test_measurements_in_space_lie_on_their_image(start: Any, end: Any, faults: int) -> None:
    study = files(plane(0, SOPInstanceUID="1.9", PixelSpacing=[4, 4]))
    line = {"SOPInstanceUID": "1.9", "coordinates_type": "world", "start": start, "end": end}
    assert len(told(study, linear_measurements_2d=[line])) == faults


@pytest.mark.parametrize(
    ("corners", "faults"),
    [
        (([0, 0], [1, 1]), 0),
        (([0.1, 0.2], [0.9, 1]), 1),
        (([0, 0], [0.5, 1]), 1),
        (([0.5, 0.5], [1.5, 1]), 0),
    ],
)
@pytest.mark.parametrize("rows", [2, 3])
def test_numbers_from_0_to_1_are_parts_of_an_image(corners: Any, faults: int, rows: int) -> None:
    study = files(image(np.zeros((rows, 3), np.int16), SOPInstanceUID="1.9"))
    box = {"SOPInstanceUID": "1.9", "top_left": corners[0], "bottom_right": corners[1]}
    assert len(told(study, bounding_boxes_2d=[box])) == (faults if rows > 2 else 0)


def test_images_without_uids_are_named_so() -> None:
    study = files(image(np.zeros((2, 3), np.int16), SeriesInstanceUID=None))
    assert told(study, mask(1, 2, 3, uid="")) == []


@pytest.mark.parametrize("value", [None, 3, "x", [], [3], [[]], {"x": 1}])
def test_whatever_stands_there(value: Any) -> None:
    document = dict.fromkeys(
        ("parts", "bounding_boxes_2d", "linear_measurements_2d", "series_ml_json"), value
    )
    heads = [lambda size, data=data: data[:size] for data in FRAMES]
    assert len(list(faults_of(document, Study(heads)))) == (value == {"x": 1})
    document = {"parts": [{"binary_type": "heatmap", "binary_data_shape": value, "dicom_image": value}]}
    assert list(faults_of(document, Study(heads))) == []
