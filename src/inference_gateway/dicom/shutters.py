"""A display shutter (PS3.3 C.7.6.11) → which pixels of an image it hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference_gateway.dicom import attributes
from inference_gateway.extras import extra

with extra("dicom", needs=__name__):
    from PIL import Image, ImageDraw

_EDGES = (
    *("ShutterLeftVerticalEdge", "ShutterRightVerticalEdge"),
    *("ShutterUpperHorizontalEdge", "ShutterLowerHorizontalEdge"),
)
_MOST_CORNERS = 1000

# Corners that lie farther away from the image than it could be wide are pulled to there.
_FARTHEST = 1 << 17

_GREYS = 257  # steps of ShutterPresentationValue, 16 bits, for each step of 8 bits


@dataclass(frozen=True)
class Shutter:
    """What stays to be seen is within every shape; the rest has one grey, 0 to 255.

    `rectangle`: left, right, upper, lower; `circle`: row, column, radius; `polygon`: (row, column) of its
    corners. Rows and columns count from 1, and those named are seen. None where there is no such shape.
    """

    rectangle: tuple[float, ...] | None = None
    circle: tuple[float, ...] | None = None
    polygon: tuple[tuple[float, float], ...] | None = None
    grey: int = 0

    def hidden(self, rows: int, columns: int) -> NDArray[np.bool_]:
        """Return which pixels of an image of that size are hidden."""
        hidden = np.zeros((rows, columns), np.bool_)
        row, column = np.ogrid[1 : rows + 1, 1 : columns + 1]
        if self.rectangle is not None:
            left, right, upper, lower = self.rectangle
            hidden |= (row < upper) | (row > lower) | (column < left) | (column > right)
        if self.circle is not None:
            middle_row, middle_column, radius = self.circle
            hidden |= (row - middle_row) ** 2 + (column - middle_column) ** 2 > radius**2
        if self.polygon is not None:
            seen = Image.new("1", (columns, rows))
            ends = [(column - 1, row - 1) for row, column in self.polygon]
            ImageDraw.Draw(seen).polygon(ends, fill=1, outline=1)
            hidden |= ~np.asarray(seen)
        return hidden


def shutter_of(dataset: Dataset) -> tuple[Shutter | None, bool]:
    """Return the shutter of an image or a presentation state, and whether all of it could be read.

    A bitmap shutter cannot: it is an overlay plane.
    """
    kinds = set(attributes.texts(dataset, "ShutterShape")) - {""}
    edges = [attributes.number(dataset, keyword) for keyword in _EDGES]
    middle = attributes.numbers(dataset, "CenterOfCircularShutter", 2)
    radius = attributes.number(dataset, "RadiusOfCircularShutter")
    corners = attributes.all_numbers(dataset, "VerticesOfThePolygonalShutter", 2 * _MOST_CORNERS) or ()
    known = [edge for edge in edges if edge is not None]
    found = Shutter(
        tuple(known) if "RECTANGULAR" in kinds and len(known) == len(_EDGES) else None,
        (*middle, radius) if "CIRCULAR" in kinds and middle is not None and radius is not None else None,
        _pairs(corners) if "POLYGONAL" in kinds and len(corners) >= 6 else None,
        _grey(dataset),
    )
    read = sum(shape is not None for shape in (found.rectangle, found.circle, found.polygon))
    return found if read else None, read == len(kinds)


def _pairs(numbers: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    near = [min(max(one, -_FARTHEST), _FARTHEST) for one in numbers]
    return tuple(zip(near[::2], near[1::2], strict=False))


def _grey(dataset: Dataset) -> int:
    value = attributes.number(dataset, "ShutterPresentationValue") or 0.0
    return round(min(max(value, 0.0), 65535.0) / _GREYS)
