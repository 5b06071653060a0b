"""What a model found, drawn over the image it looked at. Arrays in, a picture out.

A mask is a translucent colour inside a contour of full colour; a box is a frame with its label; further
labels stand in the upper left corner. Pixel (x, y) of an image is the square of `zoom` by `zoom` pixels
whose corner is (x * zoom, y * zoom): contours and text are drawn at the size of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Byte = NDArray[np.uint8]
Color = tuple[int, int, int]

# Colours that stay apart on grey and for the colour-blind, after Okabe and Ito.
COLORS: tuple[Color, ...] = (
    (255, 95, 40),
    (86, 180, 233),
    (240, 228, 66),
    (0, 190, 130),
    (230, 120, 200),
    (230, 159, 0),
    (90, 110, 255),
    (190, 190, 190),
)
MASK_OPACITY = 0.35
_TEXT: Color = (255, 255, 255)
_OUTLINE: Color = (0, 0, 0)


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask over one image, array of (rows, columns).

    `probability_mask` covers where a value is over half of its range: over 127 for uint8, over 0.5 for
    floats. `boolean_mask` covers where a value is not 0. `numeric_label_mask` covers as many regions as it
    has values other than 0, each in its own colour.
    """

    values: NDArray[Any]
    binary_type: Literal["probability_mask", "boolean_mask", "numeric_label_mask"] = "probability_mask"
    label: str = ""

    def regions(self) -> list[tuple[int, NDArray[np.bool_]]]:
        """Return (number of the region, where it is) for each region, numbers from 1."""
        if self.binary_type == "numeric_label_mask":
            return [(int(value), self.values == value) for value in np.unique(self.values) if value != 0]
        if self.binary_type == "boolean_mask":
            covered = self.values != 0
        else:
            covered = self.values > (127 if self.values.dtype == np.uint8 else 0.5)
        return [(1, covered)] if covered.any() else []


@dataclass(frozen=True)
class Box:
    """A box in pixels of the image, (x, y); both corners belong to it."""

    top_left: tuple[float, float]
    bottom_right: tuple[float, float]
    label: str = ""


def draw_overlay(
    image: Byte,
    *,
    masks: Sequence[Mask] = (),
    boxes: Sequence[Box] = (),
    labels: Sequence[str] = (),
    zoom: int = 1,
) -> Image.Image:
    """Draw over an image, uint8 of (rows, columns) or (rows, columns, 3), magnified `zoom` times.

    Masks and boxes take the colours in turn. Raises `ValueError` where a mask is not of the image's size.
    """
    canvas = _magnified(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2), zoom)
    captions: list[tuple[str, Color]] = [(label, _TEXT) for label in labels]
    for at, mask in enumerate(masks):
        if mask.values.shape != image.shape[:2]:
            raise ValueError(f"a mask of shape {mask.values.shape} over an image of shape {image.shape[:2]}")
        regions = mask.regions()
        for number, covered in regions:
            _tint(canvas, _magnified(covered, zoom), _color(at + number - 1))
        if mask.label and regions:
            captions.append((mask.label, _color(at + regions[0][0] - 1)))
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for at, box in enumerate(boxes):
        _draw_box(draw, box, _color(at), zoom)
    _draw_captions(draw, captions, picture.size)
    return picture


def contact_sheet(pictures: Sequence[Image.Image], captions: Sequence[str], tile: int = 192) -> Image.Image:
    """Lay out pictures, each within `tile` by `tile` pixels over its caption, in rows of a near-square sheet.

    Raises `ValueError` where there is no picture, or not one caption for each.
    """
    if not pictures or len(pictures) != len(captions):
        raise ValueError(f"{len(pictures)} pictures with {len(captions)} captions make no contact sheet")
    columns = math.ceil(math.sqrt(len(pictures)))
    font = _font(14)
    height = tile + 20
    sheet = Image.new("RGB", (columns * tile, math.ceil(len(pictures) / columns) * height))
    draw = ImageDraw.Draw(sheet)
    for at, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = at % columns * tile, at // columns * height
        small = picture.convert("RGB")
        small.thumbnail((tile - 2, tile - 2))
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        draw.text((left + 4, top + tile), caption, font=font, fill=_TEXT)
    return sheet


def zoom_to(rows: int, columns: int, size: int = 512) -> int:
    """Return the least whole magnification that makes the longer side at least `size` pixels."""
    return max(1, math.ceil(size / max(rows, columns)))


def contour(covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a region that touch, along a side, what is outside of it or of the image."""
    around = np.pad(covered, 1)
    inside = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return covered & ~inside


def _magnified(pixels: NDArray[Any], zoom: int) -> NDArray[Any]:
    return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _color(at: int) -> Color:
    return COLORS[at % len(COLORS)]


def _tint(canvas: Byte, covered: NDArray[np.bool_], color: Color) -> None:
    """Colour what a region covers, in place: a weighted mean inside, the colour itself on the contour."""
    mean = (1.0 - MASK_OPACITY) * canvas[covered] + MASK_OPACITY * np.array(color)
    canvas[covered] = np.rint(mean).astype(np.uint8)
    canvas[contour(covered)] = color


def _draw_box(draw: ImageDraw.ImageDraw, box: Box, color: Color, zoom: int) -> None:
    left, right = sorted((box.top_left[0], box.bottom_right[0]))
    top, bottom = sorted((box.top_left[1], box.bottom_right[1]))
    corners = (left * zoom, top * zoom, (right + 1) * zoom - 1, (bottom + 1) * zoom - 1)
    draw.rectangle(corners, outline=color, width=2 if zoom > 1 else 1)
    font = _font(14)
    if box.label:
        above = max(0.0, corners[1] - 18)
        draw.text((corners[0], above), box.label, font=font, fill=color, stroke_width=1, stroke_fill=_OUTLINE)


def _draw_captions(
    draw: ImageDraw.ImageDraw, captions: Sequence[tuple[str, Color]], size: tuple[int, int]
) -> None:
    points = max(10, min(36, max(size) // 28))
    for line, (caption, color) in enumerate(captions):
        place = (6, 4 + line * (points + 4))
        draw.text(place, caption, font=_font(points), fill=color, stroke_width=1, stroke_fill=_OUTLINE)


def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)
