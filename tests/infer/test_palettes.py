"""Palettes against colours worked out by hand."""

from typing import Any

import numpy as np
import pytest

from inference_gateway.infer.palettes import DEFAULT, palette_of

BLACK, RED = [0, 0, 0, 0], [255, 0, 100, 255]


def of(data: Any, kind: str = "anchorpoints") -> Any:
    return palette_of({"palette": "mine"}, {"mine": {"type": kind, "data": data}})


def points(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{"threshold": threshold, "color": color} for threshold, color in pairs]


def test_colours_lie_on_straight_lines_between_anchor_points() -> None:
    palette = of(points((0.0, BLACK), (0.2, [0, 255, 0, 255]), (1.0, RED)))
    assert palette.dtype == np.uint8
    assert palette.shape == (256, 4)
    assert palette[[0, 51, 255]].tolist() == [BLACK, [0, 255, 0, 255], RED]
    # 17 is a third of the way to 51; 153 is half of the way from there to 255.
    assert palette[17].tolist() == [0, 85, 0, 85]
    assert palette[153].tolist() == pytest.approx([127.5, 127.5, 50, 255], abs=0.5)


def test_a_step_is_two_points_at_one_place() -> None:
    palette = of(points((0.0, BLACK), (0.5, BLACK), (0.5, RED), (1.0, RED)))
    assert palette[127].tolist() == BLACK
    assert palette[128].tolist() == RED


def test_a_table_is_taken_as_it_is() -> None:
    table = list(range(256)) * 4
    assert of(table, "lut").ravel().tolist() == table


def test_without_a_name_heat_goes_from_nothing_to_yellow() -> None:
    assert palette_of({}, None) is DEFAULT
    assert DEFAULT[0, 3] == 0
    assert DEFAULT[255].tolist() == [255, 255, 0, 255]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "without threshold or color"),
        (7, "without threshold or color"),
        ([{"threshold": 0.0}], "without threshold or color"),
        (points(("low", BLACK), (1.0, RED)), "without threshold or color"),
        ([], "from 0.0 to 1.0"),
        ([{"threshold": 0.0, "color": [0, 0, 0, 0]}] * 1025, "more than 1,024 anchor points"),
        (points((0.0, BLACK)), "from 0.0 to 1.0"),
        (points((0.1, BLACK), (1.0, RED)), "from 0.0 to 1.0"),
        (points((0.0, BLACK), (0.9, RED)), "from 0.0 to 1.0"),
        (points((0.0, BLACK), (0.8, RED), (0.3, RED), (1.0, RED)), "from 0.0 to 1.0"),
        (points((0.0, BLACK), (float("nan"), RED), (1.0, RED)), "from 0.0 to 1.0"),
        (points((0.0, [0, 0, 0]), (1.0, [1, 1, 1])), "four numbers from 0 to 255"),
        (points((0.0, BLACK), (1.0, [0, 0, 0, 256])), "four numbers from 0 to 255"),
        (points((0.0, BLACK), (1.0, [0])), "without threshold or color"),
    ],
)
def test_anchor_points_that_are_wrong(data: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        of(data)


@pytest.mark.parametrize("data", [None, [0] * 1023, [256] * 1024, ["x"] * 1024, [[0] * 4] * 256, {}])
def test_a_table_that_is_wrong(data: Any) -> None:
    with pytest.raises(ValueError, match="1024 numbers from 0 to 255"):
        of(data, "lut")


@pytest.mark.parametrize(
    ("name", "palettes", "why"),
    [
        ("mine", None, "not among the palettes"),
        ("mine", {"other": {}}, "not among the palettes"),
        (["mine"], {}, "not among the palettes"),
        ("mine", {"mine": "red"}, "not among the palettes"),
        ("mine", {"mine": {"type": "rainbow"}}, "neither of type anchorpoints nor lut"),
    ],
)
def test_a_palette_that_is_none(name: Any, palettes: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        palette_of({"palette": name}, palettes)
