"""One page that shows a study and what was found in it: self-contained, and written plane by plane.

Images are PNGs in the page. Monochrome ones carry 16 bits of modality value in red and green, so that the
page can set the window; what was found is a layer of its own, so that it can set the opacity. A study of more
pixels than `PIXELS` is made smaller, then thinned out.

All that comes from the answer is text: in the page it is escaped, in the page's data it is JSON without angle
brackets that the script only ever writes as text. The page's policy lets no other script run and loads
nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference_gateway.dicom.overlay import color_of, draw_layer, legend
from inference_gateway.dicom.pixels import Pixels, first_window, is_inverted, modality_values
from inference_gateway.infer.drawings import Drawing, Group, Overlay

PIXELS = 48_000_000
"""Pixels of all planes of a report together: some 60 MB of page, which a browser still opens at once."""

_MOST_SHRINKING = 4
_MOST_JSON = 200_000


@dataclass(frozen=True)
class Facts:
    """What a report tells besides: `rows` of (name, value), and seconds by phase."""

    rows: Sequence[tuple[str, str]] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


class Report:
    """The page as it is being written; a context manager that closes the file."""

    def __init__(self, path: Path, groups: Sequence[Group], pixels: int = PIXELS) -> None:
        self._groups = groups
        total = sum(math.prod(group.stack.shape) for group in groups)
        self._shrinking = next(
            (one for one in range(1, _MOST_SHRINKING) if total / one**2 <= pixels), _MOST_SHRINKING
        )
        self._step = max(1, math.ceil(total / self._shrinking**2 / pixels))
        wanted = [drawing for group in groups for drawing in group.drawings[:: self._step]]
        self._numbers = {id(drawing): number for number, drawing in enumerate(wanted)}
        self._planes: dict[int, str] = {}  # as JSON: a tenth of what the objects would take
        self._style, self._script = (
            files("inference_gateway.infer").joinpath(name).read_text(encoding="utf-8")
            for name in ("report.css", "report.js")
        )
        self._file: IO[str] = path.open("w", encoding="utf-8", errors="replace")

    def __enter__(self) -> Report:
        self._file.write(_HEAD.format(policy=html.escape(self._policy()), style=self._style))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _policy(self) -> str:
        style, script = (
            base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            for text in (self._style, self._script)
        )
        return (
            f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
            "base-uri 'none'; form-action 'none'"
        )

    def add(self, drawing: Drawing, pixels: Pixels, overlay: Overlay) -> None:
        """Write one plane, unless the study is thinned out and it falls between."""
        number = self._numbers.get(id(drawing))
        if number is None:
            return
        rows, columns = pixels.stored.shape[:2]
        plane: dict[str, Any] = {"rows": rows, "columns": columns, "color": pixels.is_color}
        if pixels.is_color:
            self._write_image(f"image-{number}", _smaller(pixels.stored, self._shrinking))
        else:
            values = modality_values(pixels)
            window = first_window(pixels, values)
            image, low, step = _two_bytes(_smaller(values, self._shrinking))
            plane.update(low=low, step=step, inverted=is_inverted(pixels.header))
            plane.update(center=window.center, width=window.width, function=window.function)
            self._write_image(f"image-{number}", image)
        layer = draw_layer(rows, columns, overlay.masks, overlay.heatmaps)
        if layer[..., 3].any():
            self._write_image(f"layer-{number}", _strongest(layer, self._shrinking))
            plane["layer"] = True
        names = legend(overlay.masks, overlay.heatmaps)
        plane["legend"] = [[name, _css(color) if color else ""] for name, color in names]
        plane["labels"] = list(overlay.labels)
        plane["boxes"] = [
            [*box.top_left, *box.bottom_right, box.label, _css(color_of(at))]
            for at, box in enumerate(overlay.boxes)
        ]
        plane["lines"] = [
            [*line.start, *line.end, line.label, _css(color_of(at))] for at, line in enumerate(overlay.lines)
        ]
        plane["found"] = not overlay.empty
        self._planes[number] = _for_script({"number": number, "name": drawing.name, **plane})

    def finish(self, answer: Any, elements: Sequence[str], notes: Sequence[str], facts: Facts) -> None:
        """Write what stands below the images, and what makes the page move."""
        self._file.write(
            _TAIL.format(
                size=html.escape(self._told_size()),
                facts=_table(facts.rows),
                seconds=_table([(name, f"{spent:.2f} s") for name, spent in facts.seconds.items()]),
                elements=_items(elements),
                notes=_items(notes),
            )
        )
        self._write_answer(answer)
        self._write_index()
        self._file.write(_END.format(script=self._script))

    def _write_answer(self, answer: Any) -> None:
        """Write the JSON of an answer for a reader, as much of it as a page is good for, piece by piece."""
        self._file.write("<h2>JSON</h2><pre>")
        room = _MOST_JSON
        for piece in json.JSONEncoder(indent=2).iterencode(answer):
            self._file.write(html.escape(piece[:room]))
            room -= len(piece)
            if room < 0:
                self._file.write("\n… the rest is in response.json")
                break
        self._file.write("</pre>\n")

    def _write_index(self) -> None:
        """Write which planes there are, by stack."""
        self._file.write('<script type="application/json" id="index">[')
        between_groups = ""
        for group in self._groups:
            numbers = [self._numbers.get(id(drawing)) for drawing in group.drawings]
            planes = [number for number in numbers if number in self._planes]
            if not planes:
                continue
            self._file.write(f'{between_groups}{{"title": {_for_script(group.title)}, "planes": [')
            for at, number in enumerate(planes):
                self._file.write((", " if at else "") + self._planes[number])
            self._file.write("]}")
            between_groups = ", "
        self._file.write("]</script>\n")

    def _told_size(self) -> str:
        told = [f"shown at 1/{self._shrinking} of their size"] if self._shrinking > 1 else []
        told += [f"every plane number 1 + n × {self._step} is here"] if self._step > 1 else []
        return f"This is a large study: images are {', and '.join(told)}." if told else ""

    def _write_image(self, name: str, image: NDArray[np.uint8]) -> None:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        text = base64.b64encode(buffer.getvalue()).decode()
        self._file.write(f'<script type="text/plain" id="{name}">{text}</script>\n')


def _two_bytes(values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float, float]:
    """Return values as numbers of 16 bits in red and green, uint8 of (rows, columns, 3), with scale.

    Value = low + step * number, exact for whole numbers in a range of 65536.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    whole = high - low <= 65535 and bool((finite == np.rint(finite)).all())
    step = 1.0 if whole else (high - low) / 65535
    del finite
    kept = values.astype(np.float64)  # one such array, not one for each step
    np.nan_to_num(kept, copy=False, nan=low)
    np.clip(kept, low, high, out=kept)
    kept -= low
    kept /= step
    numbers = np.rint(kept, out=kept).astype(np.uint16)
    image = np.zeros((*values.shape, 3), np.uint8)
    image[..., 0] = numbers >> 8
    image[..., 1] = numbers & 255
    return image, low, step


def _blocks(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return (rows, columns, side * side, samples) of an image whose edge is repeated to fill blocks."""
    rows, columns = image.shape[:2]
    samples = image.reshape(rows, columns, -1)
    padded = np.pad(samples, ((0, -rows % side), (0, -columns % side), (0, 0)), mode="edge")
    shape = (padded.shape[0] // side, side, padded.shape[1] // side, side, samples.shape[2])
    blocks = padded.reshape(shape).swapaxes(1, 2)
    return blocks.reshape(shape[0], shape[2], side * side, shape[4])


def _smaller(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the means of blocks of an image, of the same type and number of axes."""
    if side == 1:
        return image
    means: NDArray[Any] = _blocks(image, side).mean(axis=2)
    if image.dtype == np.uint8:
        means = np.rint(means)
    smaller: NDArray[Any] = means.astype(image.dtype).reshape(*means.shape[:2], *image.shape[2:])
    return smaller


def _strongest(layer: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return of each block the pixel with most alpha, so that nothing found is lost."""
    if side == 1:
        return layer
    blocks = _blocks(layer, side)
    at = blocks[..., 3].argmax(axis=2)[..., None, None]
    return np.ascontiguousarray(np.take_along_axis(blocks, at, axis=2)[:, :, 0])


def _for_script(value: Any) -> str:
    """Return JSON that may stand within a script element."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")


def _css(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows
    )


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{html.escape(line)}</li>" for line in lines) or "<li>none</li>"


_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>Inference report</title>
<style>{style}</style>
</head>
<body>
"""

_TAIL = """<h1>Inference report</h1>
<p>{size}</p>
<main>
<section id="viewer">
<div id="stage"><canvas id="image"></canvas><img id="layer" alt=""><svg id="shapes"></svg></div>
<p id="caption"></p>
<ul id="legend"></ul>
</section>
<section id="controls">
<label>Series <select id="series"></select></label>
<label>Plane <input id="plane" type="range" min="0" value="0"></label>
<p><button id="previous">Previous finding</button> <button id="next">Next finding</button></p>
<label>Window centre <input id="center" type="number" step="any"></label>
<label>Window width <input id="width" type="number" step="any" min="0"></label>
<p><button id="reset">The image's own window</button></p>
<label>Opacity <input id="opacity" type="range" min="0" max="1" step="0.05" value="0.4"></label>
<p class="hint">Wheel or arrow keys go through the planes; drag over the image to set the window.</p>
</section>
</main>
<h2>Request and answer</h2><table>{facts}</table>
<h2>Time</h2><table>{seconds}</table>
<h2>Elements</h2><ol start="0">{elements}</ol>
<h2>Not drawn</h2><ul>{notes}</ul>
"""

_END = """<script>{script}</script>
</body>
</html>
"""
