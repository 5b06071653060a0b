"""Colours that can be told apart, whoever looks."""

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.hues import COLORS, Colors, color_of

# Machado, Oliveira, Fernandes 2009, severity 1: protanopia, deuteranopia, tritanopia, on linear RGB.
VISIONS = (
    np.eye(3),
    np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    np.array([[0.3673, 0.8606, -0.2279], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
)


def lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of linear sRGB, white D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = np.clip(linear, 0, 1) @ to_xyz.T / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def test_the_first_eight_are_apart_for_every_kind_of_colour_vision() -> None:
    shares = np.array(COLORS[:8]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    for vision in VISIONS:
        seen = lab(linear @ vision.T)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(8, 1)]
        assert apart.min() > 21


def test_thousands_of_things_have_colours_that_differ_and_none_is_dark() -> None:
    colors = [color_of(at) for at in range(1000)]
    assert len(set(colors)) == 1000
    assert min(max(color) for color in colors) > 140


def test_a_thing_keeps_its_colour() -> None:
    colors = Colors()
    assert [colors.of(key) for key in ("a", ("b", 1), "a", "c")] == [
        COLORS[0],
        COLORS[1],
        COLORS[0],
        COLORS[2],
    ]
