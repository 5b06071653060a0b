"""A softcopy presentation state (PS3.3 A.33) → how it shows which image, and lines and texts on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pydicom import Dataset

from inference_gateway.dicom import attributes
from inference_gateway.dicom.shapes import Line, Point
from inference_gateway.dicom.shutters import Shutter, shutter_of
from inference_gateway.dicom.turns import AS_STORED, Turn
from inference_gateway.dicom.windows import Window, own_window

SOP_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.11.{number}" for number in (1, 2, 3))
"""Grayscale, colour and pseudo-colour softcopy presentation states."""

_MOST_OBJECTS = 1000
_MOST_POINTS = 10_000
_CORNERS = 48  # of a circle

Reference = tuple[str, int | None]


_PALETTES = tuple(f"{color}PaletteColorLookupTableDescriptor" for color in ("Red", "Green", "Blue"))

# What is not applied: how it is called, and the attributes of which one stands for it.
_NOT_APPLIED = (
    ("its look-up tables", ("ModalityLUTSequence", "PresentationLUTSequence", *_PALETTES)),
    ("its compound graphics", ("CompoundGraphicSequence",)),
)


@dataclass(frozen=True)
class View:
    """How an image is shown. `window` and `inverted` (the least value is white) are its own where None."""

    window: Window | None = None
    inverted: bool | None = None
    shutter: Shutter | None = None
    turn: Turn = AS_STORED


AS_IT_IS = View()
"""How an image is shown that no presentation state speaks of."""


@dataclass(eq=False)
class Shown:
    """What a presentation state makes of one image.

    `whole`: all of the image is meant to be seen. Lines lie on it as it is stored.
    """

    view: View
    whole: bool
    lines: list[Line] = field(default_factory=list)


class PresentationState:
    """What a presentation state says, image by image; what cannot be read of it is left out.

    `images` are (SOPInstanceUID, frame number from 1, None for all frames), `left_out` is what is not
    applied.
    """

    def __init__(self, state: Dataset) -> None:
        self._state = state
        shutter, whole_shutter = shutter_of(state)
        turn, known_turn = _turn(state)
        self._view = View(inverted=_inverted(state), shutter=shutter, turn=turn)
        self.images: list[Reference] = [
            reference
            for series in attributes.items(state, "ReferencedSeriesSequence")
            for reference in _references(series)
        ]
        tables = any(
            attributes.items(item, "VOILUTSequence") and own_window(item, 1) is None
            for item in attributes.items(state, "SoftcopyVOILUTSequence")
        )
        named = [
            ("its rotation", not known_turn),
            ("a part of its shutter", not whole_shutter),
            ("its VOI LUT", tables),
            ("its overlay planes", any(map(_is_of_overlay, state.keys()))),
            *((name, any(map(state.__contains__, keywords))) for name, keywords in _NOT_APPLIED),
        ]
        self.left_out = [name for name, there in named if there]

    def shown_on(self, image: Reference, rows: int, columns: int) -> Shown:
        """Return what is shown on one of the images, which has so many rows and columns."""
        windows = (own_window(item, 1) for item in self._of(image, "SoftcopyVOILUTSequence"))
        area = self._area(image, rows, columns)
        shown = Shown(replace(self._view, window=next(filter(None, windows), None)), area.is_all)
        for item in self._of(image, "GraphicAnnotationSequence"):
            for line in (*_graphics(item, area), *_texts(item, area)):
                if len(shown.lines) < _MOST_OBJECTS:
                    shown.lines.append(line)
        return shown

    def _area(self, image: Reference, rows: int, columns: int) -> _Area:
        """Return what of an image fills the display."""
        found = _Area(rows, columns, 0.0, 0.0, columns, rows, self._view.turn)
        for item in self._of(image, "DisplayedAreaSelectionSequence"):
            first = attributes.numbers(item, "DisplayedAreaTopLeftHandCorner", 2)
            last = attributes.numbers(item, "DisplayedAreaBottomRightHandCorner", 2)
            if first is not None and last is not None:
                (left, right), (top, bottom) = map(sorted, zip(first, last, strict=True))
                return found._replace(
                    left=left - 1, top=top - 1, width=right - left + 1, height=bottom - top + 1
                )
        return found

    def _of(self, image: Reference, sequence: str) -> Iterator[Dataset]:
        """Yield the items of a sequence that are about an image: it, or all."""
        for item in attributes.items(self._state, sequence):
            about = list(_references(item))
            if not about or image in about or (image[0], None) in about:
                yield item


class _Area(NamedTuple):
    """The part of an image of rows and columns that fills the display, in pixels from the image's corner."""

    rows: int
    columns: int
    left: float
    top: float
    width: float
    height: float
    turn: Turn

    @property
    def is_all(self) -> bool:
        """Whether it is the image."""
        return (self.left, self.top, self.width, self.height) == (0, 0, self.columns, self.rows)

    def placed(self, point: Point, units: str) -> Point:
        """Return a point by the middles of pixels: it is given from a corner (PS3.3 C.10.5.1.2)."""
        x, y = point
        if units == "DISPLAY":
            x, y = self.turn.share(point)
            x, y = self.left + x * self.width, self.top + y * self.height
        return x - 0.5, y - 0.5

    def is_near(self, point: Point) -> bool:
        """Return whether a point is on the image, or about as far beside it as it is wide."""
        return -self.columns <= point[0] <= 2 * self.columns and -self.rows <= point[1] <= 2 * self.rows


def _is_of_overlay(tag: int) -> bool:
    return tag >> 24 == 0x60  # groups 6000 to 60FF (PS3.3 C.9.2)


def _turn(state: Dataset) -> tuple[Turn, bool]:
    """Return the turn of a state, and whether it is one."""
    degrees = attributes.integer(state, "ImageRotation") or 0
    flipped = attributes.text(state, "ImageHorizontalFlip") == "Y"
    return (Turn(degrees // 90 % 4, flipped), True) if degrees % 90 == 0 else (Turn(0, flipped), False)


def _inverted(state: Dataset) -> bool | None:
    """Return what PresentationLUTShape says, None for nothing: MONOCHROME1 has no say beside it."""
    return {"INVERSE": True, "IDENTITY": False}.get(attributes.text(state, "PresentationLUTShape"))


def _references(item: Dataset) -> Iterator[Reference]:
    for image in attributes.items(item, "ReferencedImageSequence"):
        uid = attributes.text(image, "ReferencedSOPInstanceUID")
        frames = attributes.all_numbers(image, "ReferencedFrameNumber")
        yield from ((uid, int(frame)) for frame in frames) if frames else [(uid, None)]


def _graphics(item: Dataset, area: _Area) -> Iterator[Line]:
    for graphic in attributes.items(item, "GraphicObjectSequence")[:_MOST_OBJECTS]:
        data = attributes.all_numbers(graphic, "GraphicData") or ()
        units = attributes.text(graphic, "GraphicAnnotationUnits")
        points = [
            area.placed(point, units)
            for point in zip(data[: 2 * _MOST_POINTS : 2], data[1 : 2 * _MOST_POINTS : 2], strict=False)
        ]
        drawn = _outline(attributes.text(graphic, "GraphicType"), points)
        if len(drawn) > 1 and all(map(area.is_near, drawn)):
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


def _texts(item: Dataset, area: _Area) -> Iterator[Line]:
    """Yield texts as labels of points."""
    for text in attributes.items(item, "TextObjectSequence")[:_MOST_OBJECTS]:
        said = " ".join(attributes.text(text, "UnformattedTextValue").split())
        for keyword, units in (
            ("AnchorPoint", "AnchorPointAnnotationUnits"),
            ("BoundingBoxTopLeftHandCorner", "BoundingBoxAnnotationUnits"),
        ):
            point = attributes.numbers(text, keyword, 2)
            if point is not None:
                place = area.placed((point[0], point[1]), attributes.text(text, units))
                if area.is_near(place):
                    yield Line(place, place, said[:80])
                break
