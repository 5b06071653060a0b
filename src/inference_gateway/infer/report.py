"""One page that shows a study and what was found in it: self-contained, and written plane by plane.

Images are PNGs in the page. Monochrome ones carry 16 bits of modality value in red and green, so that the
page can set the window, and in blue what a shutter hides; what was found is a layer of its own, so that it
can set the opacity. A study of more pixels than `PIXELS` is made smaller, then thinned out.

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
from pydicom import Dataset

from inference_gateway.dicom import attributes
from inference_gateway.dicom.hues import Color, Colors
from inference_gateway.dicom.overlay import draw_layer, legend
from inference_gateway.dicom.pixels import Pixels, first_window, is_inverted, modality_values
from inference_gateway.dicom.shapes import Painted
from inference_gateway.infer import page
from inference_gateway.infer.geometry import plain
from inference_gateway.infer.groups import Drawing, Group, Overlay
from inference_gateway.infer.planes import smaller, strongest, two_bytes

PIXELS = 48_000_000
"""Pixels of all planes of a report together: some 60 MB of page, which a browser still opens at once."""

_MOST_SHRINKING = 4
_MOST_JSON = 200_000


@dataclass(frozen=True)
class Texts:
    """What a report says in words: elements, notes on what is not drawn, warnings of the model, reports.

    `alarms` are what nobody may overlook, `reports` are (title, lines).
    """

    elements: Sequence[str] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    reports: Sequence[tuple[str, Sequence[str]]] = ()
    alarms: Sequence[str] = ()


@dataclass(frozen=True)
class Facts:
    """What a report tells besides: `rows` of (name, value), and seconds by phase."""

    rows: Sequence[tuple[str, str]] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


class Report:
    """The page as it is being written; a context manager that closes the file."""

    def __init__(
        self, path: Path, groups: Sequence[Group], colors: Colors | None = None, pixels: int | None = None
    ) -> None:
        pixels = PIXELS if pixels is None else pixels
        self._groups = groups
        self._colors = colors or Colors()
        total = sum(math.prod(group.stack.shape) for group in groups)
        self._shrinking = next(
            (one for one in range(1, _MOST_SHRINKING) if total / one**2 <= pixels), _MOST_SHRINKING
        )
        self._step = max(1, math.ceil(total / self._shrinking**2 / pixels))
        wanted = [drawing for group in groups for drawing in group.drawings[:: self._step]]
        self._numbers = {id(drawing): number for number, drawing in enumerate(wanted)}
        self._planes: dict[int, str] = {}  # as JSON: a tenth of what the objects would take
        self._names: dict[tuple[str, str], int] = {}
        self._described: dict[str, str] = {}
        self._style, self._script = (
            files("inference_gateway.infer").joinpath(name).read_text(encoding="utf-8")
            for name in ("report.css", "report.js")
        )
        self._file: IO[str] = path.open("w", encoding="utf-8", errors="replace")

    def __enter__(self) -> Report:
        self._file.write(page.HEAD.format(policy=html.escape(self._policy()), style=self._style))
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
        self._described.setdefault(drawing.frame.instance.series_instance_uid, _described(pixels.header))
        rows, columns = pixels.stored.shape[:2]
        plane: dict[str, Any] = {"number": number, "name": drawing.name, "rows": rows, "columns": columns}
        plane.update(color=pixels.is_color, aspect=round(drawing.aspect(pixels), 4))
        self._write_pixels(number, pixels, drawing, plane)
        if overlay.masks or overlay.heatmaps:
            layer = draw_layer(rows, columns, overlay.masks, overlay.heatmaps, self._colors)
            if layer[..., 3].any():
                self._write_image(f"layer-{number}", strongest(layer, self._shrinking))
                plane["layer"] = True
        if overlay.heatmaps:
            plane["heat"] = True
        names = legend(overlay.masks, overlay.heatmaps, self._colors)
        plane["legend"] = [self._name(name, _css(color)) for name, color in names]
        plane["labels"] = list(overlay.labels)
        paint = Painted((), self._colors)
        plane["boxes"] = [
            [*box.top_left, *box.bottom_right, box.label, _css(paint.color(box.label, ("box", at)))]
            for at, box in enumerate(overlay.boxes)
        ]
        plane["lines"] = [
            [line.points, line.label, _css(paint.color(line.name or line.label, ("line", at)))]
            for at, line in enumerate(overlay.lines)
        ]
        plane["found"] = not overlay.empty
        self._planes[number] = _for_script(plane)

    def _write_pixels(self, number: int, pixels: Pixels, drawing: Drawing, plane: dict[str, Any]) -> None:
        """Write the image of a plane; add to the plane what its numbers mean."""
        if pixels.is_color:
            self._write_image(f"image-{number}", smaller(drawing.shuttered(pixels.stored), self._shrinking))
            return
        values = modality_values(pixels)
        view = drawing.view
        window = view.window or first_window(pixels, values)
        image, low, step = two_bytes(smaller(values, self._shrinking))
        hidden = drawing.hidden()
        if hidden is not None and view.shutter is not None:
            image[..., 2] = smaller(hidden.view(np.uint8) * np.uint8(255), self._shrinking) > 127
            plane.update(shutter=view.shutter.grey)
        inverted = is_inverted(pixels.header) if view.inverted is None else view.inverted
        plane.update(low=low, step=step, inverted=inverted)
        plane.update(center=window.center, width=window.width, function=window.function)
        self._write_image(f"image-{number}", image)

    def finish(self, answer: Any, texts: Texts, facts: Facts) -> None:
        """Write what stands around the images, and what makes the page move."""
        self._file.write(page.viewer(texts.alarms, texts.warnings, self._told_size()))
        self._file.write(page.tail(facts.rows, facts.seconds, texts.elements, texts.notes, texts.reports))
        self._write_answer(answer)
        self._write_index()
        self._file.write(page.END.format(script=self._script))

    def _write_answer(self, answer: Any) -> None:
        """Write the JSON of an answer for a reader, as much of it as a page is good for, piece by piece."""
        self._file.write('<h2>JSON</h2><pre id="json">')
        room = _MOST_JSON
        for piece in json.JSONEncoder(indent=2).iterencode(answer):
            self._file.write(html.escape(piece[:room]))
            room -= len(piece)
            if room < 0:
                self._file.write("\n… the rest is in response.json")
                break
        self._file.write("</pre>\n")

    def _write_index(self) -> None:
        """Write which planes there are, by stack, and the names that their legends refer to."""
        self._file.write('<script type="application/json" id="index">[')
        between_groups = ""
        for group in self._groups:
            numbers = [self._numbers.get(id(drawing)) for drawing in group.drawings]
            planes = [number for number in numbers if number in self._planes]
            if not planes:
                continue
            uid = group.stack.frames[0].instance.series_instance_uid
            title = ", ".join(filter(None, (group.title, self._described.get(uid, ""))))
            self._file.write(f'{between_groups}{{"title": {_for_script(title)}, "planes": [')
            for at, number in enumerate(planes):
                self._file.write((", " if at else "") + self._planes[number])
            self._file.write("]}")
            between_groups = ", "
        self._file.write("]</script>\n")
        names = _for_script(list(self._names))
        self._file.write(f'<script type="application/json" id="names">{names}</script>\n')

    def _name(self, name: str, color: str) -> int:
        """Return the number of a line of a legend: most planes have the same."""
        return self._names.setdefault((name, color), len(self._names))

    def _told_size(self) -> str:
        told = [f"shown at 1/{self._shrinking} of their size"] if self._shrinking > 1 else []
        told += [f"every plane number 1 + n × {self._step} is here"] if self._step > 1 else []
        return f"This is a large study: images are {', and '.join(told)}." if told else ""

    def _write_image(self, name: str, image: NDArray[np.uint8]) -> None:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        text = base64.b64encode(buffer.getvalue()).decode()
        self._file.write(f'<script type="text/plain" id="{name}">{text}</script>\n')


def _described(header: Dataset) -> str:
    """Return modality, description and time of a series, as far as the image says them."""
    date, time = attributes.text(header, "SeriesDate"), attributes.text(header, "SeriesTime")
    date, time = date or attributes.text(header, "StudyDate"), time or attributes.text(header, "StudyTime")
    day = f"{date[:4]}-{date[4:6]}-{date[6:8]}" if date.isdecimal() and len(date) == 8 else ""
    moment = f" {time[:2]}:{time[2:4]}" if day and time[:4].isdecimal() and len(time) >= 4 else ""
    told = (attributes.text(header, "Modality"), attributes.text(header, "SeriesDescription"), day + moment)
    return ", ".join(plain(one) for one in told if one)


def _for_script(value: Any) -> str:
    """Return JSON that may stand within a script element."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")


def _css(color: Color | None) -> str:
    return "" if color is None else "#{:02x}{:02x}{:02x}".format(*color)
