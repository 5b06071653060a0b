"""Colours for what a model found: one for each thing, however often and wherever it is drawn."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Hashable

Color = tuple[int, int, int]

COLORS: tuple[Color, ...] = (
    *((255, 90, 45), (0, 120, 255), (255, 180, 225), (165, 255, 165), (195, 105, 105), (150, 120, 195)),
    *((225, 240, 45), (90, 195, 90), (30, 255, 105), (180, 180, 255), (255, 105, 165), (150, 210, 150)),
    *((90, 150, 30), (240, 165, 15), (195, 120, 240), (210, 15, 240), (240, 0, 180), (240, 135, 210)),
    *((105, 240, 255), (180, 120, 75), (75, 225, 60), (120, 225, 120), (180, 240, 180), (240, 135, 75)),
)
"""Colours that stay apart, and bright enough for text on black, for people with any kind of colour vision.

Each is as far from those before it as there is room, in CIELAB, seen normally and with protanopia,
deuteranopia and tritanopia (Machado, Oliveira, Fernandes 2009): the first eight differ by 22 at least.
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
