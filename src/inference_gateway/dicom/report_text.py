"""A structured report (PS3.3 A.35, C.17.3) → lines of text, indented as it is nested."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset

from inference_gateway.dicom import attributes

SOP_CLASSES = "1.2.840.10008.5.1.4.1.1.88."
"""What the SOP class UIDs of structured reports begin with."""

_MOST_LINES = 2000
_MOST_DEPTH = 24

# Attributes that have the value of an item of a value type, where it is no code and no number.
_VALUES = {
    "TEXT": "TextValue",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
    "PNAME": "PersonName",
    "UIDREF": "UID",
    "SCOORD": "GraphicType",
    "SCOORD3D": "GraphicType",
}


def lines_of(report: Dataset) -> list[str]:
    """Return what a report says, a line for each content item; what cannot be read of it is left out."""
    lines: list[str] = []
    for depth, item in _items(report):
        if len(lines) == _MOST_LINES:
            lines.append("… and more")
            break
        said = _said(item)
        if said:
            lines.append("  " * depth + said)
    return lines


def _items(report: Dataset) -> Iterator[tuple[int, Dataset]]:
    """Yield the items of a tree, each before those within it, with its depth."""
    waiting = [(0, report)]
    while waiting:
        depth, item = waiting.pop()
        yield depth, item
        if depth < _MOST_DEPTH:
            within = attributes.items(item, "ContentSequence")
            waiting += [(depth + 1, one) for one in reversed(within[:_MOST_LINES])]


def _said(item: Dataset) -> str:
    name = _meaning(item, "ConceptNameCodeSequence")
    value = " ".join(_value(item).split())
    return f"{name}: {value}" if name and value else name or value


def _value(item: Dataset) -> str:
    match kind := attributes.text(item, "ValueType"):
        case "NUM":
            for measured in attributes.items(item, "MeasuredValueSequence")[:1]:
                unit = _meaning(measured, "MeasurementUnitsCodeSequence")
                return f"{attributes.text(measured, 'NumericValue')} {unit}".strip()
            return ""
        case "CODE":
            return _meaning(item, "ConceptCodeSequence")
        case "IMAGE" | "COMPOSITE" | "WAVEFORM":
            return kind.lower()
        case _:
            return attributes.text(item, _VALUES[kind]) if kind in _VALUES else ""


def _meaning(item: Dataset, sequence: str) -> str:
    return next((attributes.text(code, "CodeMeaning") for code in attributes.items(item, sequence)[:1]), "")
