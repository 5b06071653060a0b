"""Answers that are right but for one mistake, as models make them: each with what its message has to say."""

import io
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.check.faulty import RAMP, Json, complete

Change = Callable[[Json, list[Any], list[Dataset]], None]

REPORT, CT = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.2"


def right(inputs: Sequence[Any]) -> tuple[Json, list[Any]]:
    """Everything there is, without a fault."""
    answer, elements = complete({}, inputs, "")
    answer = json.loads(json.dumps(answer))  # its entries share objects
    answer |= {"study_ml_json": {"label": "none"}, "dicomConformance": ["thick slices"]}
    return answer, elements


def model_of(change: Change) -> Callable[..., Any]:
    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        answer, elements = right(inputs)
        change(answer, elements, [pydicom.dcmread(io.BytesIO(each.getvalue())) for each in inputs])
        return answer, elements

    return model


class Wrong(NamedTuple):
    """`said`: the path, and words of what came or of what to write. `refused`: whatever the mode but off."""

    change: Change
    said: tuple[str, ...]
    refused: bool = False


def put(*path: str | int, to: Any) -> Change:
    def change(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
        holder: Any = answer
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = to

    return change


def drop(*path: str | int) -> Change:
    def change(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
        holder: Any = answer
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]

    return change


def made(index: int, of: Callable[[Any], Any]) -> Change:
    """Makes another element of one."""

    def change(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
        elements[index] = of(elements[index])

    return change


def transposed(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    """(columns, rows, depth), and a shape that says so: nothing contradicts but the study."""
    elements[0] = elements[0].T
    depth, height, width = elements[0].shape
    answer["parts"][0]["binary_data_shape"] = {
        "timepoints": 1,
        "depth": depth,
        "height": height,
        "width": width,
    }


def swapped(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    elements[1] = elements[1].T.copy()
    answer["parts"][1]["binary_data_shape"] = {"height": 80, "width": 64}


def too_deep(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    elements[0] = np.concatenate([elements[0], elements[0][:1]])
    answer["parts"][0]["binary_data_shape"]["depth"] += 1


def too_flat(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    elements[0] = elements[0][:2]
    answer["parts"][0]["binary_data_shape"]["depth"] = 2


def one_plane(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    elements[0] = elements[0][0]
    answer["parts"][0]["binary_data_shape"] = {"height": 64, "width": 80}


def of_other_size(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    elements[0] = np.zeros((4, 32, 32), np.uint8)
    answer["parts"][0]["binary_data_shape"] = {"timepoints": 1, "depth": 4, "height": 32, "width": 32}


def series_for_image(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    answer["bounding_boxes_2d"][0]["SOPInstanceUID"] = str(images[0].SeriesInstanceUID)


def image_for_series(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    answer["parts"][0]["SeriesInstanceUID"] = str(images[0].SOPInstanceUID)


def report_that_is_none(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    answer["parts"][4]["binary_type"] = "dicom_structured_report"


def without_class(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    image = images[0]
    del image.SOPClassUID
    file = io.BytesIO()
    image.save_as(file)
    elements[4] = file.getvalue()


def swapped_box(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    answer["bounding_boxes_2d"][0] |= {"top_left": [10, 60], "bottom_right": [60, 79]}


def of_another_shape(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    """As many bytes, in rows of another length than the shape says."""
    elements[1] = np.ascontiguousarray(elements[1]).reshape(32, 160)


def parts_of_an_image(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    answer["bounding_boxes_2d"][0] |= {"top_left": [0.1, 0.25], "bottom_right": [0.5, 1]}


def in_space_elsewhere(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    line = answer["linear_measurements_2d"][0]
    line |= {"coordinates_type": "world", "start": [4000, 5, 6], "end": [4010, 5, 6]}


def outside(answer: Json, elements: list[Any], images: list[Dataset]) -> None:
    answer["bounding_boxes_2d"][0] |= {"top_left": [100, 100], "bottom_right": [120, 130]}


def colours(mask: Any) -> Any:
    return np.stack([mask] * 3, axis=-1)


SHORT = {"threshold": 0.0, "color": [0, 0, 0]}
OTHER = generate_uid()

WRONG: dict[str, Wrong] = {
    "a mask of floats": Wrong(
        made(0, lambda mask: mask / 255.0), ("element 0", "float64 of 4 x 64 x 80", "from_probability"), True
    ),
    "a mask of half floats": Wrong(
        made(1, lambda mask: mask.astype(np.float16)), ("element 1", "float16", "uint8"), True
    ),
    "a mask with colours": Wrong(made(1, colours), ("element 1", "uint8 of 64 x 80 x 3", "one byte"), True),
    "a mask that is cut": Wrong(
        made(0, lambda mask: mask.tobytes()[:-5]), ("element 0", "20,475 bytes", "(20,480 bytes)"), True
    ),
    "a shape that is another": Wrong(
        put("parts", 1, "binary_data_shape", "width", to=79), ("element 1", "64 x 79 (5,056 bytes)"), True
    ),
    "DICOM that is none": Wrong(made(4, lambda file: b"no DICOM" * 99), ("element 4", "no DICOM file"), True),
    "DICOM that is empty": Wrong(
        made(4, lambda file: b""), ("element 4", "an empty element came", "preamble"), True
    ),
    "DICOM that is cut": Wrong(
        made(4, lambda file: file.getvalue()[:-50]),
        ("element 4: a DICOM file came that ends before", "whole"),
    ),
    "DICOM without a class": Wrong(without_class, ("element 4", "without SOPClassUID")),
    "a report that is an image": Wrong(report_that_is_none, ("element 4", "a structured report")),
    "the axes of a volume the other way round": Wrong(
        transposed, ("parts[0].binary_data_shape", "80 x 64 x 4", "swapped", "4 x 64 x 80")
    ),
    "an array in another order than its shape": Wrong(
        made(0, lambda mask: np.moveaxis(mask, 0, -1)), ("element 0", "64 x 80 x 4", "np.moveaxis")
    ),
    "rows and columns swapped": Wrong(
        swapped, ("parts[1].binary_data_shape", "80 x 64", "swapped", "64 x 80 (height, width)")
    ),
    "a volume of more planes than its series": Wrong(
        too_deep, ("parts[0].binary_data_shape", "5 x 64 x 80 came", "4 x 64 x 80 (depth, height, width)")
    ),
    "a volume of a smaller grid": Wrong(of_other_size, ("parts[0].binary_data_shape", "32 x 32", "64 x 80")),
    "no shape": Wrong(drop("parts", 3, "binary_data_shape"), ("parts[3].binary_data_shape", "nothing came")),
    "no height": Wrong(
        drop("parts", 3, "binary_data_shape", "height"), ("parts[3].binary_data_shape.height",)
    ),
    "a width that is text": Wrong(
        put("parts", 1, "binary_data_shape", "width", to="80"),
        ("binary_data_shape.width: text came", "columns"),
    ),
    "a mask that lies nowhere": Wrong(
        drop("parts", 1, "dicom_image"), ("parts[1]: it names neither", "dicom_image")
    ),
    "a series that was not sent": Wrong(
        put("parts", 0, "SeriesInstanceUID", to=OTHER), ("parts[0].SeriesInstanceUID", "no series")
    ),
    "the UID of an image for a series": Wrong(
        image_for_series, ("parts[0].SeriesInstanceUID", "the SOPInstanceUID of an image came")
    ),
    "an image that was not sent": Wrong(
        put("parts", 1, "dicom_image", "SOPInstanceUID", to=OTHER),
        ("parts[1].dicom_image.SOPInstanceUID", "no image"),
    ),
    "the UID of a series for an image": Wrong(
        series_for_image, ("bounding_boxes_2d[0].SOPInstanceUID", "the UID of a series came")
    ),
    "a frame that the image has not": Wrong(
        put("parts", 2, "dicom_image", "frame_number", to=7), ("dicom_image.frame_number", "from 1 to 1")
    ),
    "a frame_number below 0": Wrong(
        put("bounding_boxes_2d", 0, "frame_number", to=-1),
        ("bounding_boxes_2d[0].frame_number", "less than 0"),
    ),
    "labels of a series that was not sent": Wrong(
        put("series_ml_json", to={OTHER: {}}), ("series_ml_json.*", "no series")
    ),
    "a forgotten label map": Wrong(drop("parts", 2, "label_map"), ("parts[2].label_map: nothing came",)),
    "a number without a name": Wrong(
        drop("parts", 2, "label_map", "2"), ("parts[2].label_map: it lacks 1 of the numbers",)
    ),
    "a number with a zero before it": Wrong(
        put("parts", 2, "label_map", to={"1": "one", "02": "two"}),
        ("parts[2].label_map: it has a number that begins with a zero",),
    ),
    "names that are numbers": Wrong(
        put("parts", 2, "label_map", to={"1": 1, "2": 2}), ("parts[2].label_map.*: a whole number came",)
    ),
    "a label map the wrong way round": Wrong(
        put("parts", 2, "label_map", to={"liver": "2"}),
        ("parts[2].label_map: it has a key that is no number",),
    ),
    "a label without a name": Wrong(
        put("parts", 2, "label_map", "1", to=""), ("parts[2].label_map: it has a number without a name",)
    ),
    "probabilities of 0 and 1": Wrong(
        made(0, lambda mask: mask // 2), ("element 0", "no value over 1", "255 for 1.0")
    ),
    "a heatmap of 0 and 1": Wrong(
        made(1, lambda mask: mask > 0), ("element 1: a heatmap with no value over 1", "255 for 1.0")
    ),
    "an array in rows of another length": Wrong(
        of_another_shape, ("element 1", "32 x 160 came for a shape of 64 x 80", "binary_data_shape")
    ),
    "a boolean mask of several regions": Wrong(
        made(3, lambda mask: mask + np.eye(64, 80, dtype=np.uint8)),
        ("element 3: a boolean_mask of 4 values",),
    ),
    "a threshold in per cent": Wrong(
        put("parts", 0, "probability_threshold", to=50), ("parts[0].probability_threshold", "more than 1")
    ),
    "a threshold that is NaN": Wrong(
        put("parts", 0, "probability_threshold", to=float("nan")),
        ("parts[0].probability_threshold: NaN or Infinity came, null is sent", "write a number from 0.0"),
    ),
    "a palette that is nowhere": Wrong(
        put("parts", 1, "palette", to="jet"), ("parts[1].palette", "not among")
    ),
    "a palette that does not begin at 0.0": Wrong(
        put("palettes", "ramp", "data", 0, "threshold", to=0.1), ("palettes.*.data", "do not go from 0.0")
    ),
    "a palette without alpha": Wrong(
        put("palettes", "ramp", "data", to=[SHORT, RAMP[1]]), ("palettes.*.data[0].color: a list of 3",)
    ),
    "a palette of another type": Wrong(put("palettes", "table", "type", to="jet"), ("palettes.*.type",)),
    "a short table": Wrong(put("palettes", "table", "data", to=[0] * 256), ("a list of 256 came", "1024")),
    "a table of a list for each colour": Wrong(
        put("palettes", "table", "data", to=[[0, 0, 0, 0]] * 256),
        ("palettes.*.data[0]: a list of 4 came", "1024 numbers"),
    ),
    "another protocol version": Wrong(
        put("protocol_version", to=1.0), ("protocol_version: a number", '"1.0"')
    ),
    "a box the wrong way round": Wrong(
        put("bounding_boxes_2d", 0, "top_left", to=[7, 2]), ("bounding_boxes_2d[0]: its corners",)
    ),
    "a box with column and row swapped": Wrong(
        swapped_box, ("bounding_boxes_2d[0]", "swapped", "80 columns and 64 rows")
    ),
    "a box in parts of its image": Wrong(
        parts_of_an_image, ("bounding_boxes_2d[0]: all its numbers are from 0.0 to 1.0", "80 columns")
    ),
    "a box of text": Wrong(
        put("bounding_boxes_2d", 0, "top_left", to=["1", "2"]), ("top_left[0]: text came", "[column, row]")
    ),
    "a box that is null": Wrong(
        put("bounding_boxes_2d", 0, to=None), ("bounding_boxes_2d[0]: null came", "an object")
    ),
    "a box outside of its image": Wrong(outside, ("bounding_boxes_2d[0]: it lies outside", "80 columns")),
    "a box without a corner": Wrong(
        drop("bounding_boxes_2d", 0, "bottom_right"), ("bounding_boxes_2d[0].bottom_right: nothing came",)
    ),
    "a box without an image": Wrong(
        drop("bounding_boxes_2d", 0, "SOPInstanceUID"), ("bounding_boxes_2d[0].SOPInstanceUID: nothing came",)
    ),
    "a box of three numbers": Wrong(
        put("bounding_boxes_2d", 0, "top_left", to=[1, 2, 3]), ("bounding_boxes_2d[0].top_left: a list of 3",)
    ),
    "one box that is no list": Wrong(put("bounding_boxes_2d", to={}), ("bounding_boxes_2d: an object",)),
    "a measurement in three dimensions": Wrong(
        put("linear_measurements_2d", 0, "end", to=[1, 2, 3]), ("linear_measurements_2d[0]: 2 and 3 numbers",)
    ),
    "a measurement in space that lies elsewhere": Wrong(
        in_space_elsewhere, ("linear_measurements_2d[0]: it lies outside", "mm")
    ),
    "coordinates of an unknown kind": Wrong(
        put("linear_measurements_2d", 0, "coordinates_type", to="mm"), ("coordinates_type", '"pixel"')
    ),
    "words of the study that are no object": Wrong(
        put("study_ml_json", to=["sick"]), ("study_ml_json: a list of 1 came", "an object")
    ),
    "a volume of fewer planes than its series": Wrong(
        too_flat, ("parts[0].binary_data_shape", "2 x 64 x 80 came", "4 x 64 x 80")
    ),
    "one plane for a whole series": Wrong(
        one_plane, ("parts[0].binary_data_shape", "one plane came for a series of 4", "dicom_image")
    ),
    "NaN in the JSON": Wrong(
        put("study_ml_json", "volume", to=float("nan")), ("study_ml_json.volume", "NaN", "null")
    ),
    "a label that is a number": Wrong(put("parts", 0, "label", to=3), ("parts[0].label: a whole number",)),
}
