"""What a model found, drawn over the image it looked at. Arrays in, a picture out.

A heatmap is a film of colour; a mask is a translucent colour inside a contour of full colour; a box is a
frame with its label, a line has dots at its ends; further labels stand in the upper left corner. Pixel (x, y)
of an image is the square of `zoom` by `zoom` pixels whose corner is (x * zoom, y * zoom): contours and text
are drawn at the size of the picture.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference_gateway.extras import extra

with extra("dicom", needs=__name__):
    from PIL import Image, ImageDraw, ImageFont

Byte = NDArray[np.uint8]
Color = tuple[int, int, int]

# A caption of the contact sheet: pixels from one line to the next, and points of its letters.
_LINE = 18
_LARGEST, _SMALLEST = 14, 9

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
HEATMAP_OPACITY = 0.5
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
_TEXT: Color = (255, 255, 255)
_OUTLINE: Color = (0, 0, 0)

# Lines of text on one picture, at most.
_MOST_CAPTIONS = 24


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask over one image, array of (rows, columns).

    `probability_mask` covers where a value is over `threshold` (0 to 1), over half where there is none: for
    uint8 255 stands for 1. `boolean_mask` covers where a value is not 0. `numeric_label_mask` covers as many
    regions as it has values other than 0, each in its own colour; `label_map` names them.
    """

    values: NDArray[Any]
    binary_type: Literal["probability_mask", "boolean_mask", "numeric_label_mask"] = "probability_mask"
    label: str = ""
    threshold: float | None = None
    label_map: Mapping[int, str] = field(default_factory=dict)

    def regions(self) -> list[tuple[int, NDArray[np.bool_]]]:
        """Return (number of the region, where it is) for each region, numbers from 1."""
        if self.binary_type == "numeric_label_mask":
            return [(int(value), self.values == value) for value in np.unique(self.values) if value != 0]
        if self.binary_type == "boolean_mask":
            covered = self.values != 0
        elif self.threshold is None:
            covered = self.values > (127 if self.values.dtype == np.uint8 else 0.5)
        else:
            covered = self.values > self.threshold * (255.0 if self.values.dtype == np.uint8 else 1.0)
        return [(1, covered)] if covered.any() else []

    def name_of(self, number: int) -> str:
        """Return what to call a region, "" where nothing names it."""
        if self.binary_type != "numeric_label_mask":
            return self.label
        return self.label_map.get(number) or (f"{self.label} {number}" if self.label else "")


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A value for each pixel of one image, array of (rows, columns): uint8, or 0 to 1 of another type.

    `palette`: uint8 of (256, 4), red, green, blue and alpha for each value.
    """

    values: NDArray[Any]
    palette: Byte
    label: str = ""

    def colors(self) -> Byte:
        """Return the heatmap's own colours, uint8 of (rows, columns, 4)."""
        values = self.values
        if values.dtype != np.uint8:
            values = np.rint(np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0) * 255.0).astype(np.uint8)
        colors: Byte = self.palette[values]
        return colors

    @property
    def empty(self) -> bool:
        """Whether all of it is transparent."""
        return not self.colors()[..., 3].any()


@dataclass(frozen=True)
class Box:
    """A box in pixels of the image, (x, y); both corners belong to it."""

    top_left: tuple[float, float]
    bottom_right: tuple[float, float]
    label: str = ""


@dataclass(frozen=True)
class Line:
    """A line from the middle of one pixel of the image to the middle of another, (x, y)."""

    start: tuple[float, float]
    end: tuple[float, float]
    label: str = ""


def color_of(at: int) -> Color:
    """Return the colour of the mask, region, box or line with that number from 0; all differ."""
    if at < len(COLORS):
        return COLORS[at]
    red, green, blue = colorsys.hsv_to_rgb(at * _GOLDEN_RATIO % 1.0, (0.9, 0.55)[at % 2], 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def legend(masks: Sequence[Mask], heatmaps: Sequence[Heatmap] = ()) -> list[tuple[str, Color | None]]:
    """Return name and colour of what is over one image and has a name; a heatmap has no one colour."""
    named: list[tuple[str, Color | None]] = [
        (mask.name_of(number), color_of(at + number - 1))
        for at, mask in enumerate(masks)
        for number, _ in mask.regions()
    ]
    named += [(heatmap.label, None) for heatmap in heatmaps if not heatmap.empty]
    return [(name, color) for name, color in named if name]


def draw_overlay(
    image: Byte,
    *,
    masks: Sequence[Mask] = (),
    heatmaps: Sequence[Heatmap] = (),
    boxes: Sequence[Box] = (),
    lines: Sequence[Line] = (),
    labels: Sequence[str] = (),
    zoom: int = 1,
) -> Image.Image:
    """Draw over an image, uint8 of (rows, columns) or (rows, columns, 3), magnified `zoom` times.

    Masks take the colours in turn, and so do boxes and lines. Raises `ValueError` where a mask or a heatmap
    is not of the image's size.
    """
    for shape in [*(mask.values.shape for mask in masks), *(heatmap.values.shape for heatmap in heatmaps)]:
        if shape != image.shape[:2]:
            raise ValueError(f"a mask of shape {shape} over an image of shape {image.shape[:2]}")
    film = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    for heatmap in heatmaps:
        film = _covered_by(film, heatmap.colors())
    canvas = _magnified(film, zoom)
    for at, mask in enumerate(masks):
        for number, covered in mask.regions():
            _tint(canvas, _magnified(covered, zoom), color_of(at + number - 1))
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for at, box in enumerate(boxes):
        _draw_box(draw, box, color_of(at), zoom)
    for at, line in enumerate(lines):
        _draw_line(draw, line, color_of(at), zoom)
    captions = [(label, _TEXT) for label in labels]
    captions += [(name, color or _TEXT) for name, color in legend(masks, heatmaps)]
    _draw_captions(draw, captions[:_MOST_CAPTIONS], picture.size)
    return picture


def draw_layer(rows: int, columns: int, masks: Sequence[Mask], heatmaps: Sequence[Heatmap]) -> Byte:
    """Return masks and heatmaps as a layer by itself, uint8 of (rows, columns, 4): alpha 0 where nothing is.

    Masks are opaque and without contour; heatmaps have the alpha of their palette.
    """
    layer = Image.new("RGBA", (columns, rows))
    for heatmap in heatmaps:
        layer.alpha_composite(Image.fromarray(heatmap.colors()))
    canvas: Byte = np.array(layer)
    for at, mask in enumerate(masks):
        for number, covered in mask.regions():
            canvas[covered] = (*color_of(at + number - 1), 255)
    return canvas


def contact_sheet(pictures: Iterable[Image.Image], captions: Sequence[str], tile: int = 192) -> Image.Image:
    """Lay out pictures, each within `tile` by `tile` pixels over its caption, in rows of a near-square sheet.

    A caption may have several lines; none runs into the next tile.

    Pictures are taken one at a time. Raises `ValueError` where there is no caption, or not one for each.
    """
    if not captions:
        raise ValueError("without a picture there is no contact sheet")
    columns = math.ceil(math.sqrt(len(captions)))
    lines = [caption.splitlines() for caption in captions]
    height = tile + 2 + _LINE * max(map(len, lines))
    sheet = Image.new("RGB", (columns * tile, math.ceil(len(captions) / columns) * height))
    draw = ImageDraw.Draw(sheet)
    for at, (picture, caption) in enumerate(zip(pictures, lines, strict=True)):
        left, top = at % columns * tile, at // columns * height
        small = picture.convert("RGB")
        small.thumbnail((tile - 2, tile - 2))
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        for number, line in enumerate(caption):
            font, shown = _fitted(line, tile - 8)
            draw.text((left + 4, top + tile + number * _LINE), shown, font=font, fill=_TEXT)
    return sheet


def _fitted(line: str, width: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, str]:
    """Return a line in the largest font in which it fits, else the beginning of it in the smallest."""
    for points in range(_LARGEST, _SMALLEST - 1, -1):
        font = _font(points)
        if font.getlength(line) <= width:
            return font, line
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return font, f"{line}…"


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


def _covered_by(film: Byte, colors: Byte) -> Byte:
    """Lay colours with alpha over an RGB image at the opacity of heatmaps."""
    alpha = HEATMAP_OPACITY / 255.0 * colors[..., 3]
    covered = np.empty(film.shape, np.uint8)
    for channel in range(3):  # one at a time: floats take eight times as much
        mean = (1.0 - alpha) * film[..., channel] + alpha * colors[..., channel]
        covered[..., channel] = np.rint(mean, out=mean)
    return covered


def _tint(canvas: Byte, covered: NDArray[np.bool_], color: Color) -> None:
    """Colour what a region covers, in place: a weighted mean inside, the colour itself on the contour."""
    for channel, part in enumerate(color):
        means = np.rint((1.0 - MASK_OPACITY) * np.arange(256) + MASK_OPACITY * part).astype(np.uint8)
        canvas[covered, channel] = means[canvas[covered, channel]]
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


def _draw_line(draw: ImageDraw.ImageDraw, line: Line, color: Color, zoom: int) -> None:
    start, end = (((x + 0.5) * zoom - 0.5, (y + 0.5) * zoom - 0.5) for x, y in (line.start, line.end))
    draw.line((start, end), fill=color, width=2 if zoom > 1 else 1)
    if zoom > 1:
        for x, y in (start, end):
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color)
    if line.label:
        place = (end[0] + 5, end[1] - 8)
        draw.text(place, line.label, font=_font(14), fill=color, stroke_width=1, stroke_fill=_OUTLINE)


def _draw_captions(
    draw: ImageDraw.ImageDraw, captions: Sequence[tuple[str, Color]], size: tuple[int, int]
) -> None:
    points = max(10, min(36, max(size) // 28))
    for line, (caption, color) in enumerate(captions):
        place = (6, 4 + line * (points + 4))
        draw.text(place, caption, font=_font(points), fill=color, stroke_width=1, stroke_fill=_OUTLINE)


def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)
