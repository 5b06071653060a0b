"""What a model found, drawn over the image it looked at. Arrays in, a picture out.

A heatmap is a film of colour; a mask is a translucent colour inside a contour of full colour, or the contour
alone; a box is a frame with its label, a line has dots at its ends; further labels stand in the upper left
corner. A pixel of the image becomes a rectangle of the picture, as wide and as high as the pixel is in the
patient: contours and text are drawn at the size of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.hues import COLORS, Color, Colors, color_of
from inference_gateway.dicom.lettering import draw_text, width_of
from inference_gateway.dicom.shapes import Box, Byte, Heatmap, Line, Mask, Painted, Point, Regions
from inference_gateway.extras import extra

with extra("dicom", needs=__name__):
    from PIL import Image, ImageDraw

__all__ = [
    "COLORS",
    "Box",
    "Color",
    "Colors",
    "Heatmap",
    "Line",
    "Mask",
    "color_of",
    "contact_sheet",
    "contour",
    "draw_layer",
    "draw_overlay",
    "legend",
    "zoom_to",
]

# A caption of the contact sheet: pixels from one line to the next, and points of its letters.
_LINE = 18
_LARGEST, _SMALLEST = 14, 9

MASK_OPACITY = 0.35
HEATMAP_OPACITY = 0.5
_TEXT: Color = (255, 255, 255)

# Lines of text on one picture, at most.
_MOST_CAPTIONS = 24

# Pixels are drawn no more oblong than so.
_MOST_ASPECT = 20.0


def legend(
    masks: Sequence[Mask], heatmaps: Sequence[Heatmap] = (), colors: Colors | None = None
) -> list[tuple[str, Color | None]]:
    """Return name and colour of what is over one image and has a name; a heatmap has no one colour."""
    named: dict[str, Color | None] = {
        name: color
        for _, regions in Painted(masks, colors or Colors()).regions()
        for name, color in regions
        if name
    }
    named.update({heatmap.label: None for heatmap in heatmaps if heatmap.label and not heatmap.empty})
    return list(named.items())


class _Scale:
    """From pixels of an image to those of its picture: there are `down` times `across` as many."""

    def __init__(self, rows: int, columns: int, zoom: int, aspect: float) -> None:
        aspect = min(max(aspect, 1 / _MOST_ASPECT), _MOST_ASPECT)
        height = max(1, round(rows * zoom * max(1.0, aspect)))
        width = max(1, round(columns * zoom / min(1.0, aspect)))
        self.down, self.across = height / rows, width / columns
        self._row = ((np.arange(height) + 0.5) / self.down).astype(np.intp)
        self._column = ((np.arange(width) + 0.5) / self.across).astype(np.intp)

    @property
    def line_width(self) -> int:
        """How wide a frame is drawn."""
        return 2 if self.across > 1 else 1

    def middle(self, point: Point) -> Point:
        """Return the middle of a pixel."""
        return (point[0] + 0.5) * self.across - 0.5, (point[1] + 0.5) * self.down - 0.5

    def magnified(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the pixel that lies at each place of the picture."""
        found: NDArray[Any] = pixels[self._row[:, None], self._column]
        return found

    def window(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Return where rows and columns of the image lie in the picture."""
        top, bottom = np.searchsorted(self._row, (rows.start, rows.stop))
        left, right = np.searchsorted(self._column, (columns.start, columns.stop))
        return slice(int(top), int(bottom)), slice(int(left), int(right))

    def part(self, pixels: NDArray[Any], window: tuple[slice, slice]) -> NDArray[Any]:
        """Return what lies at each place of a window of the picture."""
        found: NDArray[Any] = pixels[self._row[window[0], None], self._column[window[1]]]
        return found


def draw_overlay(
    image: Byte,
    *,
    masks: Sequence[Mask] = (),
    heatmaps: Sequence[Heatmap] = (),
    boxes: Sequence[Box] = (),
    lines: Sequence[Line] = (),
    labels: Sequence[str] = (),
    zoom: int = 1,
    aspect: float = 1.0,
    outlines: bool = False,
    colors: Colors | None = None,
) -> Image.Image:
    """Draw over an image, uint8 of (rows, columns) or (rows, columns, 3), magnified `zoom` times.

    `aspect`: height of a pixel by its width; the longer side is the one that is stretched. `outlines`: masks
    are contours only. `colors`: those that were given out before, so that a thing has the same one
    everywhere. Raises `ValueError` where a mask or a heatmap is not of the image's size.
    """
    for shape in [*(mask.values.shape for mask in masks), *(heatmap.values.shape for heatmap in heatmaps)]:
        if shape != image.shape[:2]:
            raise ValueError(f"a mask of shape {shape} over an image of shape {image.shape[:2]}")
    colors = colors or Colors()
    scale = _Scale(image.shape[0], image.shape[1], zoom, aspect)
    film = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    for heatmap in heatmaps:
        film = _covered_by(film, heatmap.colors())
    canvas = scale.magnified(film)
    painted = Painted(masks, colors)
    for mask, regions in painted.regions():
        if regions:
            _tint(canvas, mask.regions, [color for _, color in regions], scale, outlines)
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for at, box in enumerate(boxes):
        _draw_box(draw, box, painted.color(box.label, ("box", at)), scale)
    for at, line in enumerate(lines):
        _draw_line(draw, line, painted.color(line.name or line.label, ("line", at)), scale)
    captions: list[tuple[str, Color]] = [(label, _TEXT) for label in labels]
    captions += [(name, color or _TEXT) for name, color in legend(masks, heatmaps, colors)]
    _draw_captions(draw, captions, picture.size)
    return picture


def draw_layer(
    rows: int,
    columns: int,
    masks: Sequence[Mask],
    heatmaps: Sequence[Heatmap],
    colors: Colors | None = None,
) -> Byte:
    """Return masks and heatmaps as a layer by itself, uint8 of (rows, columns, 4): alpha 0 where nothing is.

    Masks are opaque and without contour; heatmaps have the alpha of their palette.
    """
    layer = Image.new("RGBA", (columns, rows))
    for heatmap in heatmaps:
        layer.alpha_composite(Image.fromarray(heatmap.colors()))
    canvas: Byte = np.array(layer)
    for mask, regions in Painted(masks, colors or Colors()).regions():
        if regions:
            table = np.array([(0, 0, 0, 0), *((*color, 255) for _, color in regions)], np.uint8)
            index, part = mask.regions.index[mask.regions.window], canvas[mask.regions.window]
            covered = index != 0
            part[covered] = table[index[covered]]
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
            shown, points = _fitted(line, tile - 10)
            draw_text(draw, (left + 5, top + tile + number * _LINE), shown, points, _TEXT, outline=0)
    return sheet


def _fitted(line: str, width: int) -> tuple[str, int]:
    """Return a line and the most points in which it fits, else the beginning of it in the fewest."""
    for points in range(_LARGEST, _SMALLEST - 1, -1):
        if width_of(line, points) <= width:
            return line, points
    while line and width_of(f"{line}…", _SMALLEST) > width:
        line = line[:-1]
    return f"{line}…", _SMALLEST


def zoom_to(rows: int, columns: int, size: int = 512) -> int:
    """Return the least whole magnification that makes the longer side at least `size` pixels."""
    return max(1, math.ceil(size / max(rows, columns)))


def contour(index: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels of regions that touch, along a side, another region, the outside or the image's edge.

    `index` is 0 outside of all regions, and another number within each.
    """
    around = np.pad(index, 1)
    inside = (around[:-2, 1:-1] == index) & (around[2:, 1:-1] == index)
    inside &= (around[1:-1, :-2] == index) & (around[1:-1, 2:] == index)
    covered: NDArray[np.bool_] = (index != 0) & ~inside
    return covered


def _covered_by(film: Byte, colors: Byte) -> Byte:
    """Lay colours with alpha over an RGB image at the opacity of heatmaps."""
    alpha = HEATMAP_OPACITY / 255.0 * colors[..., 3]
    covered = np.empty(film.shape, np.uint8)
    for channel in range(3):  # one at a time: floats take eight times as much
        mean = (1.0 - alpha) * film[..., channel] + alpha * colors[..., channel]
        covered[..., channel] = np.rint(mean, out=mean)
    return covered


def _tint(canvas: Byte, regions: Regions, colors: Sequence[Color], scale: _Scale, outlines: bool) -> None:
    """Colour regions in place: a weighted mean inside, the colour itself on the contour.

    Only the window around them is looked at.
    """
    window = scale.window(*regions.window)
    index = scale.part(regions.index, window)
    part = canvas[window]
    table = np.array([(0, 0, 0), *colors], np.uint8)
    if not outlines:
        covered = index != 0
        part[covered] = np.rint((1.0 - MASK_OPACITY) * part[covered] + MASK_OPACITY * table[index[covered]])
    edge = contour(index)
    part[edge] = table[index[edge]]


def _draw_box(draw: ImageDraw.ImageDraw, box: Box, color: Color, scale: _Scale) -> None:
    left, right = sorted((box.top_left[0], box.bottom_right[0]))
    top, bottom = sorted((box.top_left[1], box.bottom_right[1]))
    corners = (
        *(left * scale.across, top * scale.down),
        *((right + 1) * scale.across - 1, (bottom + 1) * scale.down - 1),
    )
    draw.rectangle(corners, outline=color, width=scale.line_width)
    if box.label:
        _draw_label(draw, (corners[0], max(0.0, corners[1] - 18)), box.label, color)


def _draw_line(draw: ImageDraw.ImageDraw, line: Line, color: Color, scale: _Scale) -> None:
    points = [scale.middle(point) for point in line.points]
    draw.line(points, fill=color, width=scale.line_width)
    if scale.across > 1 and not line.more:
        for x, y in points:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color)
    if line.label:
        _draw_label(draw, (points[-1][0] + 5, points[-1][1] - 8), line.label, color)


def _draw_label(draw: ImageDraw.ImageDraw, place: Point, label: str, color: Color) -> None:
    """Draw a label at a place, or so far to the left of it that it ends within the picture."""
    room = draw.im.size[0] - width_of(label, _LARGEST) - 2
    draw_text(draw, (max(2.0, min(place[0], room)), place[1]), label, _LARGEST, color)


def _draw_captions(
    draw: ImageDraw.ImageDraw, captions: Sequence[tuple[str, Color]], size: tuple[int, int]
) -> None:
    points = max(10, min(36, max(size) // 28))
    shown = list(captions[:_MOST_CAPTIONS])
    if len(captions) > _MOST_CAPTIONS:
        shown[-1] = (f"and {len(captions) - _MOST_CAPTIONS + 1} more", _TEXT)
    for line, (caption, color) in enumerate(shown):
        draw_text(draw, (6, 4 + line * (points + 4)), caption, points, color)
