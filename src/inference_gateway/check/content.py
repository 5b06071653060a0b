"""What the answer says: its elements against `parts`, palettes, label maps, DICOM objects, findings.

All of it comes from the model; the gateway passes it on. Nothing of it is quoted: it is about a patient.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from inference_gateway.check.inference import Piece
from inference_gateway.check.verdict import Check, Failed, Skipped, Subject, check

MASKS = ("probability_mask", "heatmap", "numeric_label_mask", "boolean_mask")
DICOM = ("dicom", "dicom_secondary_capture", "dicom_structured_report", "dicom_gsps")

_AXES = ("timepoints", "depth", "height", "width")
_LUT_ENTRIES = 1024  # 256 colours of 4 channels
_BLOCK = 1 << 20


@check("element-count", "return exactly one element for each entry of 'parts'")
def element_count(subject: Subject) -> str:
    """Count the elements and the entries of `parts`."""
    json = subject.json()
    entries = json.get("parts", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Failed("'parts' is not a list of objects")
    elements = len(subject.whole_message().elements)
    if len(entries) != elements:
        raise Failed(f"'parts' has {len(entries)} entries, and {elements} elements came")
    return (
        "no elements, and none announced" if not elements else f"one element for each of {elements} entries"
    )


@check("binary-types", "give each entry of 'parts' a binary_type; name your own ones by --binary-type")
def binary_types(subject: Subject) -> str:
    """See that each entry names a known kind."""
    entries = subject.entries()
    if not entries:
        raise Skipped("'parts' has no entries")
    for index, entry in enumerate(entries):
        binary_type = entry.get("binary_type") if isinstance(entry, dict) else None
        if not isinstance(binary_type, str):
            raise Failed(f"parts[{index}] has no binary_type")
        if binary_type not in subject.binary_types:
            raise Failed(f"parts[{index}] has a binary_type that is not known")
    return "each entry of 'parts' has a known binary_type"


@check(
    "element-size", "send one byte for each pixel of binary_data_shape: timepoints × depth × height × width"
)
def element_size(subject: Subject) -> str:
    """Compare each mask's size with its shape."""
    for index, entry, piece in subject.elements(*MASKS):
        shape = entry.get("binary_data_shape")
        if not isinstance(shape, dict) or not {"width", "height"} <= shape.keys():
            raise Failed(f"parts[{index}] has no binary_data_shape with width and height")
        axes = [shape[axis] for axis in _AXES if axis in shape]
        if not all(_whole(axis) and axis > 0 for axis in axes):
            raise Failed(f"parts[{index}] has a binary_data_shape with something other than numbers over 0")
        if piece.body.size != math.prod(axes):
            raise Failed(f"element {index} has {piece.body.size} bytes for {math.prod(axes)} pixels")
    return "each mask has as many bytes as its shape has pixels"


@check("references", "name images and series by the UIDs that they were sent with")
def references(subject: Subject) -> str:
    """Look for every UID among those that were sent."""
    if subject.study.uids is None:
        raise Skipped("reading UIDs needs pydicom: pip install 'dicom-inference-gateway[dicom]'")
    found = list(_references(subject))
    if not found:
        raise Skipped("the answer names no image or series")
    for place, uid in found:
        if uid not in subject.study.uids:
            raise Failed(f"{place} names an image or a series that was not sent")
    return "all images and series that the answer names were sent"


def _references(subject: Subject) -> Iterator[tuple[str, Any]]:
    json = subject.json()
    for index, entry in enumerate(subject.entries()):
        if isinstance(entry, dict) and entry.get("binary_type") in MASKS:
            image = entry.get("dicom_image")
            yield from _uid(f"parts[{index}]", entry, "SeriesInstanceUID")
            yield from _uid(f"parts[{index}].dicom_image", image, "SOPInstanceUID")
    for key in ("bounding_boxes_2d", "linear_measurements_2d"):
        for index, each in enumerate(_list(json.get(key))):
            yield from _uid(f"{key}[{index}]", each, "SOPInstanceUID")
    series = json.get("series_ml_json")
    if isinstance(series, dict):
        yield from (("series_ml_json", uid) for uid in series)


def _uid(place: str, holder: object, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(holder, dict) and key in holder:
        # Frames count from 1; 0 and nothing mean the first.
        frame = holder.get("frame_number", 1) if key == "SOPInstanceUID" else 1
        if not _whole(frame) or frame < 0:
            raise Failed(f"{place} has a frame_number that is no number of a frame, from 1")
        yield place, holder[key]


@check("thresholds", "give probability_threshold as a number from 0.0 to 1.0")
def thresholds(subject: Subject) -> str:
    """See that thresholds are numbers from 0 to 1."""
    told = [entry for _, entry, _ in subject.elements("probability_mask") if "probability_threshold" in entry]
    if not told:
        raise Skipped("no probability mask has a threshold")
    if not all(_number(entry["probability_threshold"], 0, 1) for entry in told):
        raise Failed("a probability_threshold is no number from 0.0 to 1.0")
    return "each threshold is from 0.0 to 1.0"


@check(
    "palettes",
    "define each palette under 'palettes': anchorpoints with thresholds that rise from 0.0 to 1.0, each with "
    "a color of red, green, blue and alpha from 0 to 255; or lut, 1024 numbers from 0 to 255",
)
def palettes(subject: Subject) -> str:
    """See that palettes are well-formed, and that those exist that are named."""
    defined = subject.json().get("palettes", {})
    if not isinstance(defined, dict):
        raise Failed("'palettes' is no object")
    entries = [entry for entry in subject.entries() if isinstance(entry, dict) and "palette" in entry]
    if not defined and not entries:
        raise Skipped("the answer has no palettes")
    if any(not isinstance(entry["palette"], str) or entry["palette"] not in defined for entry in entries):
        raise Failed("an entry of 'parts' has a palette that is not under 'palettes'")
    for number, palette in enumerate(defined.values(), 1):
        trouble = _palette_trouble(palette)
        if trouble:
            raise Failed(f"palette {number}: {trouble}")
    return f"{len(defined)} palettes are complete"


def _palette_trouble(palette: object) -> str | None:
    kind = palette.get("type") if isinstance(palette, dict) else None
    data = _list(palette.get("data")) if isinstance(palette, dict) else []
    if kind == "lut":
        good = len(data) == _LUT_ENTRIES and all(_byte(each) for each in data)
        return None if good else f"the lut is not {_LUT_ENTRIES} numbers from 0 to 255"
    if kind != "anchorpoints":
        return "its type is neither anchorpoints nor lut"
    points = [point for point in data if isinstance(point, dict) and _number(point.get("threshold"), 0, 1)]
    if len(points) < 2 or len(points) < len(data):
        return "it has not two or more anchor points with thresholds from 0.0 to 1.0"
    at = [point["threshold"] for point in points]
    if at[0] != 0 or at[-1] != 1:
        return "its anchor points do not go from 0.0 to 1.0"
    if at != sorted(at):
        return "its anchor points do not rise"
    colors = [_list(point.get("color")) for point in points]
    if not all(len(color) == 4 and all(map(_byte, color)) for color in colors):
        return "a color is not four numbers, red, green, blue, alpha, from 0 to 255"
    return None


@check(
    "label-maps", "give each numeric_label_mask a label_map with a name for every number but 0 in its mask"
)
def label_maps(subject: Subject) -> str:
    """Look for the name of each number in a mask."""
    found = subject.elements("numeric_label_mask")
    for index, entry, piece in found:
        labels = entry.get("label_map")
        if not isinstance(labels, dict) or not labels:
            raise Failed(f"parts[{index}] has no label_map")
        if not all(re.fullmatch("[0-9]{1,3}", key) and int(key) <= 255 for key in labels):
            raise Failed(f"parts[{index}] has a label_map with a key that is no number from 0 to 255")
        if not all(isinstance(name, str) and name for name in labels.values()):
            raise Failed(f"parts[{index}] has a label without a name")
        missing = _values(piece) - {0, *map(int, labels)}
        if missing:
            raise Failed(f"element {index} has {len(missing)} numbers that its label_map does not name")
    return f"every number in {len(found)} label masks has its name"


def _values(piece: Piece) -> set[int]:
    """Return the distinct bytes of an element."""
    seen = np.zeros(256, dtype=np.bool_)
    piece.body.seek(0)
    while block := piece.body.read(_BLOCK):
        seen |= np.bincount(np.frombuffer(block, np.uint8), minlength=256) > 0
    return {int(value) for value in np.flatnonzero(seen)}


@check("dicom", "send whole DICOM files (PS3.10), with file meta information and their UIDs")
def dicom(subject: Subject) -> str:
    """Read each DICOM element."""
    found = subject.elements(*DICOM)
    try:
        import pydicom
    except ImportError:
        raise Skipped("reading DICOM needs pydicom: pip install 'dicom-inference-gateway[dicom]'") from None
    for index, _, piece in found:
        piece.body.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they quote values
                dataset = pydicom.dcmread(piece.body)
                complete = all(dataset.get(key) for key in ("SOPClassUID", "SOPInstanceUID"))
                if "PixelData" in dataset and not dataset.file_meta.TransferSyntaxUID.is_compressed:
                    _ = dataset.pixel_array
        except Exception as error:  # pydicom raises nearly everything
            raise Failed(f"element {index} cannot be read as DICOM ({type(error).__name__})") from None
        if not complete:
            raise Failed(f"element {index} is DICOM without SOPClassUID or SOPInstanceUID")
    return f"{len(found)} DICOM objects can be read"


@check(
    "findings",
    "give a box top_left and bottom_right, a measurement start and end, each as [column, row], and its image;"
    ' ends of coordinates_type "world" are three numbers, patient coordinates in mm',
)
def findings(subject: Subject) -> str:
    """See that boxes, measurements and labels are complete."""
    json = subject.json()
    if json.get("protocol_version") != "1.0":
        raise Failed("'protocol_version' is not \"1.0\"")
    for place, box in _findings(json, "bounding_boxes_2d"):
        a, b = _points(place, box, "top_left", "bottom_right", (2,))
        if a[0] > b[0] or a[1] > b[1]:
            raise Failed(f"{place} has its corners the wrong way round")
    unplaced = 0
    for place, line in _findings(json, "linear_measurements_2d"):
        kind = line.get("coordinates_type")
        if not isinstance(kind, str | None) or kind not in _COORDINATES:
            raise Failed(f"{place} has a coordinates_type that is neither pixel nor world")
        start, end = _points(place, line, "start", "end", _COORDINATES[kind])
        if len(start) != len(end):
            raise Failed(f"{place} has not as many numbers for its start as for its end")
        unplaced += kind == "world" and len(start) == 2
    told = "version, boxes and measurements are as they must be"
    if unplaced:
        told += (
            f"; {unplaced} of linear_measurements_2d cannot be placed: "
            "world coordinates are three numbers, in mm, not two"
        )
    return told


# How many numbers an end of a measurement has, by its coordinates_type: the old SDK showed two for world too.
_COORDINATES = {"pixel": (2,), None: (2,), "world": (3, 2)}


def _findings(json: dict[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(json.get(key, []), list):
        raise Failed(f"'{key}' is no list")
    for index, each in enumerate(json.get(key, [])):
        if not isinstance(each, dict) or not each.get("SOPInstanceUID"):
            raise Failed(f"{key}[{index}] names no image")
        yield f"{key}[{index}]", each


def _points(
    place: str, holder: dict[str, Any], first: str, second: str, lengths: tuple[int, ...]
) -> tuple[list[Any], list[Any]]:
    a, b = _list(holder.get(first)), _list(holder.get(second))
    if not all(len(point) in lengths and all(map(_number, point)) for point in (a, b)):
        number = "three" if lengths[0] == 3 else "two"
        raise Failed(f"{place} has not {number} numbers for each of {first} and {second}")
    return a, b


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _byte(value: object) -> bool:
    return _whole(value) and _number(value, 0, 255)


def _number(value: object, low: float = -math.inf, high: float = math.inf) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and low <= value <= high


CHECKS: tuple[Check, ...] = (
    *(element_count, binary_types, element_size, references, thresholds, palettes, label_maps, dicom),
    findings,
)
