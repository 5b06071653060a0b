"""Turns of arrays and of points are the same turn."""

import numpy as np
import pytest

from inference_gateway.dicom.turns import AS_STORED, Turn

EVERY = [Turn(quarters, flipped) for quarters in range(4) for flipped in (False, True)]


@pytest.mark.parametrize("turn", EVERY)
def test_a_point_goes_where_its_pixel_goes(turn: Turn) -> None:
    pixels = np.arange(15).reshape(3, 5)
    shown = turn.array(pixels)
    for row, column in np.ndindex(3, 5):
        x, y = turn.point((column, row), 3, 5)
        assert shown[int(y), int(x)] == pixels[row, column]


@pytest.mark.parametrize("turn", EVERY)
def test_shares_lead_back(turn: Turn) -> None:
    """By the middles of pixels of an image of 3 x 5, as shares of its width and height."""
    rows, columns = turn.array(np.empty((3, 5))).shape
    for row, column in np.ndindex(3, 5):
        x, y = turn.point((column, row), 3, 5)
        share = turn.share(((x + 0.5) / columns, (y + 0.5) / rows))
        assert share == pytest.approx(((column + 0.5) / 5, (row + 0.5) / 3))


def test_it_turns_clockwise_and_flips_then() -> None:
    """PS3.3 C.10.6: the rotation comes before the flip."""
    pixels = np.array([[1, 2], [3, 4]])
    assert Turn(1).array(pixels).tolist() == [[3, 1], [4, 2]]
    assert Turn(1, True).array(pixels).tolist() == [[1, 3], [2, 4]]
    colors = np.arange(12).reshape(2, 2, 3)
    assert Turn(1).array(colors)[0, 0].tolist() == colors[1, 0].tolist()


def test_proportions_turn_too() -> None:
    assert [Turn(quarters).aspect(2.0) for quarters in range(4)] == [2.0, 0.5, 2.0, 0.5]
    assert AS_STORED.aspect(3.0) == 3.0
