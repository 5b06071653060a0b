"""Colours for what a model found: one for each thing, however often and wherever it is drawn."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Hashable

Color = tuple[int, int, int]

COLORS: tuple[Color, ...] = (
    *((255, 90, 45), (0, 120, 255), (255, 180, 225), (150, 60, 135), (165, 255, 165), (225, 240, 45)),
    *((225, 120, 135), (180, 150, 240), (165, 60, 45), (90, 195, 90), (105, 75, 180), (90, 45, 255)),
    *((30, 255, 105), (195, 120, 165), (0, 135, 90), (195, 30, 0), (105, 120, 180), (240, 165, 15)),
    *((135, 45, 210), (225, 180, 255), (165, 210, 150), (240, 15, 90), (150, 135, 255), (135, 150, 45)),
)
"""Colours that stay apart on grey, for people with any kind of colour vision.

Each is as far from those before it as there is room, in CIELAB, seen normally and with protanopia,
deuteranopia and tritanopia (Machado, Oliveira, Fernandes 2009): the first eight differ by 27 at least.
"""

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def color_of(at: int) -> Color:
    """Return the colour of the thing with that number from 0; those of the first thousands all differ."""
    if at < len(COLORS):
        return COLORS[at]
    red, green, blue = colorsys.hsv_to_rgb(
        at * _GOLDEN_RATIO % 1.0, (0.9, 0.55, 0.75)[at % 3], (1.0, 0.8)[at % 2]
    )
    return round(red * 255), round(green * 255), round(blue * 255)


class Colors:
    """The colours of things by their key, given out in the order in which they are asked for."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of(self, key: Hashable) -> Color:
        """Return the colour of a thing, always the same one."""
        return color_of(self._numbers.setdefault(key, len(self._numbers)))
