"""What is sent, and in which order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from inference_gateway.dicom.series import Study, read_study
from inference_gateway.infer.request import images_in_order, objects_in_order, request_json
from tests.dicom.objects import as_file, image, plane


def study(*datasets: Dataset) -> Study:
    return read_study(map(as_file, datasets))


def test_images_go_by_series_then_place_along_the_normal() -> None:
    sagittal = [0, 1, 0, 0, 0, -1]
    sources = [plane(z, sagittal, SeriesInstanceUID="1.1") for z in (3, 1, 2)]
    sources += [plane(z, SeriesInstanceUID="1.2") for z in (9, 8)]
    assert [one.index for one in images_in_order(study(*sources))] == [1, 2, 0, 4, 3]


def test_images_go_by_timepoint_then_place() -> None:
    sources = [plane(z, InstanceNumber=time) for z in (2, 1) for time in (3, 1, 2)]
    assert [one.index for one in images_in_order(study(*sources))] == [4, 1, 5, 2, 3, 0]


def test_an_image_of_many_frames_goes_once() -> None:
    cine = image(np.zeros((4, 2, 2), np.uint8), NumberOfFrames=4)
    assert [one.index for one in images_in_order(study(cine))] == [0]


def test_objects_that_are_no_images_follow(tmp_path: Path) -> None:
    report = plane(0)
    del report.PixelData
    first = plane(2)
    sources = [report, first, plane(1), first]
    paths = [tmp_path / str(number) for number in range(5)]
    for path, dataset in zip(paths, sources, strict=False):
        path.write_bytes(as_file(dataset).getvalue())
    paths[4].write_text("no DICOM")
    assert objects_in_order(read_study(paths), paths) == [paths[2], paths[1], paths[0]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"studyUID": "1.2.3"}),
        ({"inference_command": "segment"}, {"studyUID": "1.2.3", "inference_command": "segment"}),
        ({"options": {"a": "b=c"}}, {"studyUID": "1.2.3", "a": "b=c"}),
        ({"study_size": True}, {"studyUID": "1.2.3", "depth": 2, "height": 2, "width": 3}),
        ({"study_path": "/data/1"}, {"studyUID": "1.2.3", "studyPath": "/data/1"}),
    ],
)
def test_the_json_has_what_is_asked_for(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    assert request_json(study(plane(0), plane(1)), **asked) == expected


def test_without_images_there_is_no_study() -> None:
    expected = {"studyPath": "/data", "depth": 0, "height": 0, "width": 0}
    assert request_json(study(), study_path="/data", study_size=True) == expected
