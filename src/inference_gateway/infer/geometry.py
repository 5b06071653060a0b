"""Entries of `bounding_boxes_2d` and `linear_measurements_2d` → boxes and lines in pixels of their image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from inference_gateway.dicom.series import Frame
from inference_gateway.dicom.shapes import Box, Line

_ENDS = ("start", "end")


def plain(value: Any, most: int = 80) -> str:
    """Return a value of the answer as one line of text that can be shown: no control characters, not long."""
    text = str(value)[: most + 1]
    shown = "".join(one if one.isprintable() else " " for one in text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def box_of(entry: Mapping[str, Any], frame: Frame) -> Box:
    """Return a box on its image. Raises `ValueError`, which quotes nothing, where it is none."""
    top_left, bottom_right = _point(entry.get("top_left"), 2), _point(entry.get("bottom_right"), 2)
    if top_left is None or bottom_right is None:
        raise ValueError("top_left and bottom_right are not two numbers each")
    _check_near(frame, top_left, bottom_right)
    return Box(_xy(top_left), _xy(bottom_right), plain(entry.get("label", "")))


def line_of(entry: Mapping[str, Any], frame: Frame) -> Line:
    """Return a line on its image, labelled with its length. Raises `ValueError` where it is none."""
    start, end = (_in_pixels(entry.get(one), entry.get("coordinates_type"), frame) for one in _ENDS)
    _check_near(frame, start, end)
    name = plain(entry.get("label", ""))
    return Line(start, end, f"{name} {_length(start, end, frame)}".strip(), name)


def size_of(frame: Frame) -> tuple[int, int]:
    """Return rows and columns."""
    return frame.instance.rows, frame.instance.columns


def _point(value: Any, count: int) -> tuple[float, ...] | None:
    """Return a point of `count` finite numbers, None where it is none."""
    if not isinstance(value, list) or len(value) != count:
        return None
    numbers = [one for one in value if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) < count or not all(abs(one) < 1e9 for one in numbers):  # NaN compares false
        return None
    return tuple(float(one) for one in numbers)


def _check_near(frame: Frame, *points: tuple[float, ...]) -> None:
    """Raise `ValueError` where a point is not near its image: drawing far away takes for ever."""
    rows, columns = size_of(frame)
    if not all(-columns <= x <= 2 * columns and -rows <= y <= 2 * rows for x, y in points):
        raise ValueError("it lies outside of its image")


def _xy(point: tuple[float, ...]) -> tuple[float, float]:
    return point[0], point[1]


def _in_pixels(value: Any, coordinates_type: Any, frame: Frame) -> tuple[float, float]:
    """Return (column, row) of an end of a line; for world coordinates by PS3.3 C.7.6.2.1.1, turned around.

    Raises `ValueError` where it is no point, or cannot be placed.
    """
    if coordinates_type in (None, "pixel"):
        point = _point(value, 2)
        if point is None:
            raise ValueError("start and end are not two numbers each")
        return _xy(point)
    if coordinates_type != "world":
        raise ValueError("its coordinates_type is neither pixel nor world")
    world = _point(value, 3)
    if world is None and _point(value, 2) is not None:
        raise ValueError("world coordinates of two numbers cannot be placed: three are needed, in mm")
    if world is None:
        raise ValueError("start and end are not three numbers each, as world coordinates are")
    if frame.position is None or frame.orientation is None or frame.pixel_spacing is None:
        raise ValueError("its image does not say where it lies: world coordinates cannot be placed")
    away = [a - b for a, b in zip(world, frame.position, strict=True)]
    along_row = sum(a * b for a, b in zip(away, frame.orientation[:3], strict=True))
    along_column = sum(a * b for a, b in zip(away, frame.orientation[3:], strict=True))
    return along_row / frame.pixel_spacing[1], along_column / frame.pixel_spacing[0]


def _length(start: tuple[float, float], end: tuple[float, float], frame: Frame) -> str:
    across, down = end[0] - start[0], end[1] - start[1]
    if frame.pixel_spacing is None:
        return f"{math.hypot(across, down):.1f} px"
    return f"{math.hypot(across * frame.pixel_spacing[1], down * frame.pixel_spacing[0]):.1f} mm"
