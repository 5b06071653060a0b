"""Each fault in what a model answers is found, and nothing else is."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.check import content, framing
from inference_gateway.dicom.series import read_study as read_images
from inference_gateway.infer.drawings import Drawings
from tests.check.faulty import RAMP, Change, Json, changed, failing, findings, url_of
from tests.dicom.objects import as_file, image
from tests.harness.server import serving


def set_in(*path: str | int, to: Any) -> Change:
    """Sets one value of the JSON."""

    def change(answer: Json, elements: list[Any]) -> None:
        holder: Any = answer
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = to

    return change


def without(*path: str | int) -> Change:
    def change(answer: Json, elements: list[Any]) -> None:
        holder: Any = answer
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]

    return change


def element_as(index: int, data: bytes) -> Change:
    def change(answer: Json, elements: list[Any]) -> None:
        elements[index] = data

    return change


def cut_element(answer: Json, elements: list[Any]) -> None:
    elements[4] = elements[4].getvalue()[:-9]


def measured(kind: Any, start: Any, end: Any) -> Change:
    """Changes the one measurement."""

    def change(answer: Json, elements: list[Any]) -> None:
        answer["linear_measurements_2d"][0] |= {"coordinates_type": kind, "start": start, "end": end}

    return change


FALLING = [RAMP[0], *({**RAMP[0], "threshold": threshold} for threshold in (0.6, 0.3)), RAMP[1]]


def ramp(*changes: tuple[int, str, Any]) -> Change:
    points = [dict(point) for point in RAMP]
    for index, key, value in changes:
        points[index][key] = value
    return set_in("palettes", "ramp", "data", to=points)


AREA = (*framing.CHECKS, *content.CHECKS)
"""The checks that such a fault could make fail."""

FAULTS: dict[str, tuple[Change, set[str]]] = {
    "a mask of another size": (set_in("parts", 1, "binary_data_shape", "width", to=79), {"element-size"}),
    "a volume of another depth": (set_in("parts", 0, "binary_data_shape", "depth", to=3), {"element-size"}),
    "palettes that are no object": (set_in("palettes", to=[]), {"palettes"}),
    "no shape": (without("parts", 3, "binary_data_shape"), {"element-size"}),
    "no height": (without("parts", 3, "binary_data_shape", "height"), {"element-size"}),
    "a width that is text": (set_in("parts", 1, "binary_data_shape", "width", to="80"), {"element-size"}),
    "an image that was not sent": (
        set_in("parts", 1, "dicom_image", "SOPInstanceUID", to="1.2.3"),
        {"references"},
    ),
    "a series that was not sent": (set_in("parts", 0, "SeriesInstanceUID", to="1.2.3"), {"references"}),
    "a box on an image that was not sent": (
        set_in("bounding_boxes_2d", 0, "SOPInstanceUID", to="1.2.3"),
        {"references"},
    ),
    "a frame_number below 0": (set_in("bounding_boxes_2d", 0, "frame_number", to=-1), {"references"}),
    "a frame_number that is text": (set_in("bounding_boxes_2d", 0, "frame_number", to="1"), {"references"}),
    "labels of a series that was not sent": (set_in("series_ml_json", to={"1.2.3": {}}), {"references"}),
    "a threshold in per cent": (set_in("parts", 0, "probability_threshold", to=50), {"thresholds"}),
    "a palette that does not begin at 0.0": (ramp((0, "threshold", 0.1)), {"palettes"}),
    "a palette that does not end at 1.0": (ramp((1, "threshold", 0.9)), {"palettes"}),
    "a palette beyond 1.0": (ramp((1, "threshold", 255)), {"palettes"}),
    "a palette that falls": (set_in("palettes", "ramp", "data", to=FALLING), {"palettes"}),
    "a colour over 255": (ramp((1, "color", [256, 0, 0, 255])), {"palettes"}),
    "a colour from 0 to 1": (ramp((1, "color", [0.5, 0, 0, 1])), {"palettes"}),
    "a colour without alpha": (ramp((1, "color", [255, 0, 0])), {"palettes"}),
    "a palette of one point": (set_in("palettes", "ramp", "data", to=RAMP[:1]), {"palettes"}),
    "a short lut": (set_in("palettes", "table", "data", to=[0] * 256), {"palettes"}),
    "a palette of another type": (set_in("palettes", "table", "type", to="jet"), {"palettes"}),
    "a palette that is nowhere": (set_in("parts", 1, "palette", to="jet"), {"palettes"}),
    "no label map": (without("parts", 2, "label_map"), {"label-maps"}),
    "a number without a label": (without("parts", 2, "label_map", "2"), {"label-maps"}),
    "a label without a number": (set_in("parts", 2, "label_map", "two", to="two"), {"label-maps"}),
    "a label without a name": (set_in("parts", 2, "label_map", "1", to=""), {"label-maps"}),
    "no number over 1 in a probability mask": (
        lambda answer, elements: elements.__setitem__(0, elements[0] // 2),
        {"values"},
    ),
    "DICOM that is none": (element_as(4, b"no DICOM" * 100), {"dicom"}),
    "DICOM that is empty": (element_as(4, b""), {"dicom"}),
    "DICOM without its last pixels": (cut_element, {"dicom"}),
    "another protocol version": (set_in("protocol_version", to=1.0), {"findings"}),
    "a box the wrong way round": (set_in("bounding_boxes_2d", 0, "top_left", to=[7, 2]), {"findings"}),
    "a box without a corner": (without("bounding_boxes_2d", 0, "bottom_right"), {"findings"}),
    "a box without an image": (without("bounding_boxes_2d", 0, "SOPInstanceUID"), {"findings"}),
    "a measurement in three dimensions": (
        set_in("linear_measurements_2d", 0, "end", to=[1, 2, 3]),
        {"findings"},
    ),
    "world coordinates of four numbers": (measured("world", [1, 2, 3, 4], [1, 2, 3, 4]), {"findings"}),
    "world coordinates of three and two": (measured("world", [1, 2, 3], [1, 2]), {"findings"}),
    "coordinates of an unknown kind": (measured("polar", [1, 2], [1, 2]), {"findings"}),
    "coordinates of no kind": (measured(["world"], [1, 2], [1, 2]), {"findings"}),
    "boxes that are no list": (set_in("bounding_boxes_2d", to={}), {"findings"}),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.slow
def test_fault(fault: str, spool_dir: Path) -> None:
    change, expected = FAULTS[fault]
    assert failing(spool_dir, model=changed(change), checks=AREA) == expected


@pytest.mark.parametrize(
    ("kind", "start", "end", "noted"),
    [
        ("pixel", [3.5, 2], [6, 5.5], False),
        (None, [3.5, 2], [6, 5.5], False),
        ("world", [1.5, -2, 3], [1, 2, -3.5], False),
        ("world", [1.5, -2], [1, 2], True),
    ],
)
def test_a_measurement_in_the_coordinates_of_the_image_or_the_patient(
    kind: Any, start: list[float], end: list[float], noted: bool, spool_dir: Path
) -> None:
    """The test tool draws the same ones; those of two numbers pass, as they once were shown, with a note."""
    line = {"coordinates_type": kind, "start": start, "end": end}
    model = changed(measured(kind, start, end))
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", model)
    with serving(app) as running:
        (finding,) = findings(url_of(running.address), [content.findings])
    assert finding.verdict == "pass"
    assert ("cannot be placed" in finding.detail) is noted
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "1.dcm"
        placed = {
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [0, 0, 0],
            "PixelSpacing": [1, 1],
            "SOPInstanceUID": "1.9.1",
        }
        file.write_bytes(as_file(image(np.zeros((64, 80), np.int16), **placed)).getvalue())
        drawings = Drawings(read_images([file]))
    drawings.add_lines([{"SOPInstanceUID": "1.9.1", **line}])
    assert [("cannot be placed" in note) for note in drawings.notes] == ([True] if noted else [])
