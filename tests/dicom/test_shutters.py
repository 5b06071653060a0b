"""What a display shutter hides."""

from typing import Any

import numpy as np
import pytest

from inference_gateway.dicom.shutters import Shutter, shutter_of
from tests.dicom.returned import item

RECTANGLE = {
    "ShutterLeftVerticalEdge": 2,
    "ShutterRightVerticalEdge": 4,
    "ShutterUpperHorizontalEdge": 3,
    "ShutterLowerHorizontalEdge": 3,
}
CIRCLE = {"CenterOfCircularShutter": [3, 3], "RadiusOfCircularShutter": 1}
POLYGON = {"VerticesOfThePolygonalShutter": [1, 1, 1, 3, 3, 1]}


def seen(shape: Any, attributes: dict[str, Any]) -> list[str]:
    shutter, whole = shutter_of(item(ShutterShape=shape, **attributes))
    assert shutter is not None
    assert whole
    return ["".join(".#"[int(not one)] for one in row) for row in shutter.hidden(4, 5)]


def test_edges_count_from_one_and_are_seen() -> None:
    assert seen("RECTANGULAR", RECTANGLE) == [".....", ".....", ".###.", "....."]
    assert seen("CIRCULAR", CIRCLE) == [".....", "..#..", ".###.", "..#.."]
    assert seen("POLYGONAL", POLYGON) == ["###..", "##...", "#....", "....."]


def test_of_several_shapes_that_is_seen_which_is_in_all() -> None:
    assert seen(["RECTANGULAR", "CIRCULAR"], {**RECTANGLE, **CIRCLE, "CenterOfCircularShutter": [3, 5]}) == [
        ".....",
        ".....",
        "...#.",
        ".....",
    ]


@pytest.mark.parametrize(("value", "grey"), [(None, 0), (0, 0), (0x8080, 128), (0xFFFF, 255)])
def test_what_is_hidden_has_one_grey(value: int | None, grey: int) -> None:
    more = {} if value is None else {"ShutterPresentationValue": value}
    shutter, _ = shutter_of(item(ShutterShape="CIRCULAR", **CIRCLE, **more))
    assert shutter == Shutter(circle=(3, 3, 1), grey=grey)


@pytest.mark.parametrize(
    ("shape", "attributes", "is_some"),
    [
        ("BITMAP", {}, False),
        ("RECTANGULAR", {"ShutterLeftVerticalEdge": 2}, False),
        ("CIRCULAR", {"CenterOfCircularShutter": [1, 2]}, False),
        ("POLYGONAL", {"VerticesOfThePolygonalShutter": [1, 2, 3]}, False),
        (["CIRCULAR", "BITMAP"], CIRCLE, True),
        ("NONSENSE", CIRCLE, False),
    ],
)
def test_what_cannot_be_read_is_told(shape: Any, attributes: dict[str, Any], is_some: bool) -> None:
    shutter, whole = shutter_of(item(ShutterShape=shape, **attributes))
    assert not whole
    assert (shutter is not None) == is_some


def test_without_a_shutter_there_is_none() -> None:
    assert shutter_of(item()) == (None, True)


def test_corners_far_away_do_no_harm() -> None:
    numbers = [int(one) for one in np.linspace(-(2**31), 2**31 - 1, 3000)]
    shutter, _ = shutter_of(item(ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=numbers))
    assert shutter is not None
    assert shutter.hidden(30, 40).shape == (30, 40)
