"""A softcopy presentation state (PS3.3 A.33) → what it shows on which image: lines, texts, a window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydicom import Dataset

from inference_gateway.dicom import attributes
from inference_gateway.dicom.shapes import Line, Point
from inference_gateway.dicom.windows import Window, own_window

SOP_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.11.{number}" for number in (1, 2, 3))
"""Grayscale, colour and pseudo-colour softcopy presentation states."""

_MOST_OBJECTS = 1000
_MOST_POINTS = 10_000
_CORNERS = 48  # of a circle

Reference = tuple[str, int | None]


@dataclass(eq=False)
class Shown:
    """What is shown on one image: `window` None where the state says none."""

    lines: list[Line] = field(default_factory=list)
    window: Window | None = None


class PresentationState:
    """What a presentation state says, image by image; what cannot be read of it is left out.

    `images` are (SOPInstanceUID, frame number from 1, None for all frames), `left_out` is what is not
    applied.
    """

    def __init__(self, state: Dataset) -> None:
        self._state = state
        self.images: list[Reference] = [
            reference
            for series in attributes.items(state, "ReferencedSeriesSequence")
            for reference in _references(series)
        ]
        turned = (
            attributes.integer(state, "ImageRotation") or attributes.text(state, "ImageHorizontalFlip") == "Y"
        )
        named = [("its rotation or flip", turned), ("its shutter", "ShutterShape" in state)]
        self.left_out = [name for name, there in named if there]

    def shown_on(self, image: Reference, rows: int, columns: int) -> Shown:
        """Return what is shown on one of the images, which has so many rows and columns."""
        shown = Shown()
        for item in self._of(image, "SoftcopyVOILUTSequence"):
            shown.window = shown.window or own_window(item, 1)
        for item in self._of(image, "GraphicAnnotationSequence"):
            for line in (*_graphics(item, rows, columns), *_texts(item, rows, columns)):
                if len(shown.lines) < _MOST_OBJECTS:
                    shown.lines.append(line)
        return shown

    def _of(self, image: Reference, sequence: str) -> Iterator[Dataset]:
        """Yield the items of a sequence that are about an image: it, or all."""
        for item in attributes.items(self._state, sequence):
            about = list(_references(item))
            if not about or image in about or (image[0], None) in about:
                yield item


def _references(item: Dataset) -> Iterator[Reference]:
    for image in attributes.items(item, "ReferencedImageSequence"):
        uid = attributes.text(image, "ReferencedSOPInstanceUID")
        frames = attributes.all_numbers(image, "ReferencedFrameNumber")
        yield from ((uid, int(frame)) for frame in frames) if frames else [(uid, None)]


def _graphics(item: Dataset, rows: int, columns: int) -> Iterator[Line]:
    for graphic in attributes.items(item, "GraphicObjectSequence")[:_MOST_OBJECTS]:
        data = attributes.all_numbers(graphic, "GraphicData") or ()
        units = attributes.text(graphic, "GraphicAnnotationUnits")
        points = [
            _placed(point, units, rows, columns)
            for point in zip(data[: 2 * _MOST_POINTS : 2], data[1 : 2 * _MOST_POINTS : 2], strict=False)
        ]
        drawn = _outline(attributes.text(graphic, "GraphicType"), points)
        if len(drawn) > 1 and all(_near(point, rows, columns) for point in drawn):
            yield Line(drawn[0], drawn[1], more=tuple(drawn[2:]))


def _outline(kind: str, points: Sequence[Point]) -> list[Point]:
    """Return the points of a graphic (PS3.3 C.10.5.1.2) as those of a line."""
    match kind:
        case "POINT" if points:
            return [points[0], points[0]]
        case "CIRCLE" if len(points) >= 2:
            radius = math.dist(points[0], points[1])
            return _ellipse(points[0], (radius, 0.0), (0.0, radius))
        case "ELLIPSE" if len(points) >= 4:
            (a, b), (c, d) = points[:2], points[2:4]
            middle = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
            return _ellipse(
                middle, (b[0] - middle[0], b[1] - middle[1]), ((d[0] - c[0]) / 2, (d[1] - c[1]) / 2)
            )
        case "POLYLINE" | "INTERPOLATED":
            return list(points)
        case _:
            return []


def _ellipse(middle: Point, major: Point, minor: Point) -> list[Point]:
    turns = [2 * math.pi * at / _CORNERS for at in range(_CORNERS + 1)]
    return [
        (
            middle[0] + math.cos(turn) * major[0] + math.sin(turn) * minor[0],
            middle[1] + math.cos(turn) * major[1] + math.sin(turn) * minor[1],
        )
        for turn in turns
    ]


def _texts(item: Dataset, rows: int, columns: int) -> Iterator[Line]:
    """Yield texts as labels of points."""
    for text in attributes.items(item, "TextObjectSequence")[:_MOST_OBJECTS]:
        said = " ".join(attributes.text(text, "UnformattedTextValue").split())
        for keyword, units in (
            ("AnchorPoint", "AnchorPointAnnotationUnits"),
            ("BoundingBoxTopLeftHandCorner", "BoundingBoxAnnotationUnits"),
        ):
            point = attributes.numbers(text, keyword, 2)
            if point is not None:
                place = _placed((point[0], point[1]), attributes.text(text, units), rows, columns)
                if _near(place, rows, columns):
                    yield Line(place, place, said[:80])
                break


def _placed(point: Point, units: str, rows: int, columns: int) -> Point:
    """Return a point by the middles of pixels: it is given from the corner of the first one (C.10.5.1.2)."""
    x, y = (point[0] * columns, point[1] * rows) if units == "DISPLAY" else point
    return x - 0.5, y - 0.5


def _near(point: Point, rows: int, columns: int) -> bool:
    return -columns <= point[0] <= 2 * columns and -rows <= point[1] <= 2 * rows
