"""Palettes of an answer → a colour for each of 256 values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Byte = NDArray[np.uint8]

# Red, green, blue and alpha of 256 values; more anchor points than a few for each value tell nothing more.
_ENTRIES = 1024
_MOST_ANCHORS = 1024


def palette_of(part: Mapping[str, Any], palettes: Any) -> Byte:
    """Return the palette that an entry of `parts` names, uint8 of (256, 4): red, green, blue, alpha.

    `palettes` is the answer's. Without a name: from transparent through red to yellow. Raises `ValueError`,
    which quotes nothing, where the palette is missing or wrong.
    """
    name = part.get("palette")
    if name is None:
        return DEFAULT
    palette = palettes.get(name) if isinstance(palettes, Mapping) and isinstance(name, str) else None
    if not isinstance(palette, Mapping):
        raise ValueError("its palette is not among the palettes")
    match palette.get("type"):
        case "anchorpoints":
            return _from_anchor_points(palette.get("data"))
        case "lut":
            return _from_table(palette.get("data"))
        case _:
            raise ValueError("its palette is neither of type anchorpoints nor lut")


def _from_anchor_points(points: Any) -> Byte:
    """Straight lines between anchor points; value v of 0 to 255 stands at v / 255."""
    if isinstance(points, list) and len(points) > _MOST_ANCHORS:
        raise ValueError(f"its palette has more than {_MOST_ANCHORS:,} anchor points")
    try:
        at = np.array([float(point["threshold"]) for point in points])
        colors = np.array([[float(one) for one in point["color"]] for point in points])
    except (TypeError, ValueError, KeyError, OverflowError):
        raise ValueError("its palette has an anchor point without threshold or color") from None
    if len(at) < 2 or at[0] != 0.0 or at[-1] != 1.0 or not (np.diff(at) >= 0).all():
        raise ValueError("the anchor points of its palette do not go from 0.0 to 1.0")
    if colors.shape != (len(at), 4) or not ((colors >= 0) & (colors <= 255)).all():
        raise ValueError("a color of its palette is not four numbers from 0 to 255")
    values = np.arange(256) / 255.0
    channels = [np.rint(np.interp(values, at, channel)) for channel in colors.T]
    palette: Byte = np.stack(channels, axis=1).astype(np.uint8)
    return palette


def _from_table(table: Any) -> Byte:
    try:
        values = np.array(table if isinstance(table, list) and len(table) == _ENTRIES else [], np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.shape != (_ENTRIES,) or not ((values >= 0) & (values <= 255)).all():
        raise ValueError("its palette is not 1024 numbers from 0 to 255")
    palette: Byte = values.astype(np.uint8).reshape(256, 4)
    return palette


DEFAULT = _from_anchor_points(
    [
        {"threshold": 0.0, "color": [255, 0, 0, 0]},
        {"threshold": 0.5, "color": [255, 80, 0, 180]},
        {"threshold": 1.0, "color": [255, 255, 0, 255]},
    ]
)
"""For heatmaps that name no palette."""
