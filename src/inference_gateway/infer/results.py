"""A model's answer → files: JSON, masks as arrays, DICOM objects as they came, pictures of both, a report.

Files are named by numbers and words of ours. One plane of the study and of each mask is in memory at a time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from inference_gateway.dicom.hues import Colors
from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.overlay import contact_sheet, draw_overlay, zoom_to
from inference_gateway.dicom.pixels import (
    PixelDataError,
    Pixels,
    attempt_frames,
    display_values,
    read_frames,
)
from inference_gateway.dicom.presentation import AS_IT_IS
from inference_gateway.dicom.series import Instance, Study
from inference_gateway.infer.drawings import Drawings, Json
from inference_gateway.infer.geometry import plain
from inference_gateway.infer.groups import Drawing, Group, Overlay
from inference_gateway.infer.masks import Element, store_mask
from inference_gateway.infer.objects import Objects
from inference_gateway.infer.report import Facts, Report, Texts
from inference_gateway.infer.words import counted
from inference_gateway.payload.contract import MASK_TYPES

# What may lie in a result folder from a former run; nothing else is ever replaced or deleted.
RESULT_FILES = ("series-*.png", "element-*.*", "contact-sheet.png", "response.json", "report.html")

# Pictures on a contact sheet, at most: what there is to see, and planes of a study where nothing is. The
# sheet is in memory whole, beside all that is known of the study.
_SHEET = 36
_SHEET_OF_NOTHING = 12

# Lines of `dicomConformance` that are shown.
_MOST_WARNINGS = 50

# Pixels that the longer side of a picture takes on the sheet.
_TILE = 160

T = TypeVar("T")


@dataclass(frozen=True)
class Written:
    """Names of what was written: overlays and pictures of DICOM objects, masks, DICOM objects.

    `planes`: how many were looked at for `pictures`. `notes`: what is not drawn, and why. `warnings`: the
    answer's own, of `dicomConformance`. `undecoded`: images of the study that cannot be decoded here, by the
    reason and what helps.
    """

    pictures: list[str]
    masks: list[str]
    objects: list[str]
    notes: list[str]
    warnings: list[str] = field(default_factory=list)
    undecoded: Counter[str] = field(default_factory=Counter)
    planes: int = 0

    @property
    def alarms(self) -> list[str]:
        """What nobody may overlook: images in which nothing can be seen."""
        return [
            f"{counted(count, 'image')} of the study cannot be shown: {reason}"
            for reason, count in self.undecoded.items()
        ]


def write_results(
    study: Study,
    answer: Any,
    elements: Sequence[Element],
    folder: Path,
    facts: Facts,
    *,
    labels_everywhere: bool = False,
    outlines: bool = False,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Write all files of an answer into a folder.

    `elements[i]` belongs to `parts[i]` of `answer`. There is a picture for each plane that has something on
    it, and a `contact-sheet.png` of them, or of planes of the study where nothing was found. Images that
    cannot be decoded have no picture. `outlines`: masks are drawn as contours only. `progress` is told how
    many planes are done, of how many.
    """
    answer = answer if isinstance(answer, dict) else {}
    drawings = Drawings(study)
    _tell_irregularities(study, drawings)
    returned = Objects(drawings, limits or Limits())
    masks = _write_elements(answer, elements, drawings, returned, folder)
    drawings.add_boxes(answer.get("bounding_boxes_2d"))
    drawings.add_lines(answer.get("linear_measurements_2d"))
    drawings.add_labels(
        answer.get("series_ml_json"), answer.get("study_ml_json"), everywhere=labels_everywhere
    )
    warnings = conformance_of(answer)
    groups = [*returned.groups, *drawings.groups]
    total = sum(len(group.drawings) for group in groups)
    pictures: list[str] = []
    undecoded: Counter[str] = Counter()
    with Report(folder / "report.html", groups, drawings.colors) as report:
        for done, (drawing, pixels) in enumerate(_decoded(groups, drawings, undecoded), start=1):
            if pixels is not None:
                with drawings.noting(drawing.name):
                    overlay = drawing.overlay()
                    pixels = drawing.turned(pixels)
                    asked = drawing.view != AS_IT_IS or drawing.name.startswith("element-")
                    if asked or not overlay.empty:
                        picture = _picture(drawing, pixels, overlay, drawings.colors, outlines)
                        picture.save(folder / f"{drawing.name}.png")
                        pictures.append(f"{drawing.name}.png")
                    report.add(drawing, pixels, overlay)
            progress(done, total)
        written = Written(pictures, masks, returned.names, drawings.notes, warnings, undecoded, total)
        described = [_described(element) for element in elements]
        texts = Texts(described, drawings.notes, warnings, returned.texts, written.alarms)
        report.finish(answer, texts, facts)
    _write_contact_sheet(pictures, drawings, folder)
    return written


def _tell_irregularities(study: Study, drawings: Drawings) -> None:
    """Say what is irregular of stacks that lie in space: a gap, a lost phase, an image twice."""
    for number, series in enumerate(study.series, start=1):
        for stack in series.stacks:
            if any(frame.position is not None for frame in stack.frames):
                for irregularity in stack.irregularities:
                    drawings.hint(f"series {number}: {irregularity}")


def conformance_of(answer: Json) -> list[str]:
    """Return what an answer says under `dicomConformance`, a line for each thing, whatever form it has."""
    lines: list[str] = []
    waiting: list[tuple[str, Any]] = [("", answer.get("dicomConformance"))]
    while waiting and len(lines) < _MOST_WARNINGS:
        name, value = waiting.pop(0)
        if isinstance(value, dict):
            waiting[:0] = [
                (f"{name}{plain(key)}: ", one) for key, one in list(value.items())[:_MOST_WARNINGS]
            ]
        elif isinstance(value, list):
            waiting[:0] = [(name, one) for one in value[:_MOST_WARNINGS]]
        elif value not in (None, ""):
            lines.append(f"{name}{plain(value, 300)}")
    return lines


def write_json(answer: Any, path: Path) -> None:
    """Write the JSON of an answer so that a person can read it."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(answer, file, indent=2)
        file.write("\n")


def _write_elements(
    answer: Json, elements: Sequence[Element], drawings: Drawings, returned: Objects, folder: Path
) -> list[str]:
    """Write elements as files; return the names of masks."""
    masks: list[str] = []
    for at, element in enumerate(elements):
        name = f"element-{at:03d}"
        part = element.part if isinstance(element.part, dict) else {}
        if part.get("binary_type") in MASK_TYPES:
            try:
                mask = store_mask(element, folder / f"{name}.npy")
            except ValueError as error:
                drawings.note(f"element {at}", str(error))
            else:
                masks.append(f"{name}.npy")
                drawings.add_mask(f"element {at}", part, mask, answer.get("palettes"))
                continue
        is_object = element.content_type == "application/dicom"
        path = folder / f"{name}{'.dcm' if is_object else '.bin'}"
        element.save(path)
        if is_object:
            returned.add(at, path)
    return masks


def _decoded(
    groups: Sequence[Group], drawings: Drawings, undecoded: Counter[str]
) -> Iterator[tuple[Drawing, Pixels | None]]:
    """Yield each drawing with its pixels, None where they cannot be decoded.

    Images of the study that cannot be are counted, others noted, once for each image.
    """

    def miss(group: Group, drawing: Drawing, reason: str) -> None:
        if group in drawings.groups:
            undecoded[reason] += 1
        else:
            drawings.note(drawing.name, reason)

    for group in groups:
        noted: Instance | None = None
        left = list(reversed(group.drawings))
        try:
            for pixels in attempt_frames(drawing.frame for drawing in group.drawings):
                drawing = left.pop()
                if not isinstance(pixels, PixelDataError):
                    yield drawing, pixels
                    continue
                if noted is not drawing.frame.instance:
                    miss(group, drawing, str(pixels))
                    noted = drawing.frame.instance
                yield drawing, None
        except Exception as error:  # pydicom and its decoders raise whatever they trip over
            for drawing in {drawing.frame.instance: drawing for drawing in left}.values():
                miss(group, drawing, f"its pixels cannot be read ({type(error).__name__})")
            yield from ((drawing, None) for drawing in reversed(left))


def _picture(
    drawing: Drawing,
    pixels: Pixels,
    overlay: Overlay,
    colors: Colors | None = None,
    outlines: bool = False,
) -> Image.Image:
    shown = drawing.shuttered(display_values(pixels, drawing.view.window, drawing.view.inverted))
    return draw_overlay(
        shown,
        masks=overlay.masks,
        heatmaps=overlay.heatmaps,
        boxes=overlay.boxes,
        lines=overlay.lines,
        labels=overlay.labels,
        zoom=zoom_to(*shown.shape[:2]),
        aspect=drawing.aspect(pixels),
        outlines=outlines,
        colors=colors,
    )


def _described(element: Element) -> str:
    """Return what an element is, in words of ours and numbers."""
    part = element.part if isinstance(element.part, dict) else {}
    kind = part.get("binary_type")
    known = kind if kind in MASK_TYPES else element.content_type
    return f"{known}, {element.size:,} bytes"


def _write_contact_sheet(pictures: Sequence[str], drawings: Drawings, folder: Path) -> None:
    names = _spread(pictures, _SHEET)
    captions = [caption_of(Path(name).stem) for name in names]
    tiles: Iterable[Image.Image] = (_opened(folder / name) for name in names)
    if not pictures:
        nothing = [
            (picture, f"{caption_of(drawing.name)}\nnothing")
            for drawing in _spread(drawings.all(), _SHEET_OF_NOTHING)
            for picture in _one(drawing)
        ]
        tiles, captions = (picture for picture, _ in nothing), [caption for _, caption in nothing]
    if captions:
        contact_sheet(tiles, captions, _TILE).save(folder / "contact-sheet.png")


def caption_of(name: str) -> str:
    """Return the name of a picture in words: `series-1-plane-003` is series 1, plane 3."""
    words = name.split("-")
    pairs = [f"{word} {int(number)}" for word, number in zip(words[::2], words[1::2], strict=True)]
    return "\n".join([", ".join(pairs[:-1]), pairs[-1]]) if len(pairs) > 2 else ", ".join(pairs)


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return _small(picture)


def _small(picture: Image.Image) -> Image.Image:
    """Make a picture as small as a tile, in place: whole ones beside the sheet are a peak of memory."""
    picture.thumbnail((_TILE, _TILE))
    return picture


def _one(drawing: Drawing) -> list[Image.Image]:
    """Return a plane as a tile; nothing where that cannot be made, which is noted already."""
    try:
        return [_small(_picture(drawing, pixels, Overlay())) for pixels in read_frames([drawing.frame])]
    except Exception:
        return []


def _spread(things: Sequence[T], most: int) -> list[T]:
    """Return at most so many things, evenly spread over all."""
    if len(things) <= most:
        return list(things)
    return [things[int(at)] for at in np.linspace(0, len(things) - 1, most).round()]
