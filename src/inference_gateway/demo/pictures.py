"""A model's answer → files: masks as arrays, DICOM objects as they came, and pictures of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from inference_gateway.demo.drawings import Drawing, Drawings, Json
from inference_gateway.dicom.overlay import contact_sheet, draw_overlay, zoom_to
from inference_gateway.dicom.pixels import PixelDataError, display_values, read_frames
from inference_gateway.dicom.series import Study, frames_of, read_study

MASK_TYPES = ("probability_mask", "heatmap", "boolean_mask", "numeric_label_mask")

# Pictures on a contact sheet, at most: what there is to see, and planes of a study where nothing is.
_SHEET = 64
_SHEET_OF_NOTHING = 12

# Pixels that the longer side of a picture takes on the sheet.
_TILE = 224

T = TypeVar("T")


class Element(Protocol):
    """What is asked of an element of an answer; the client's elements have it."""

    @property
    def part(self) -> Mapping[str, Any]: ...
    @property
    def content_type(self) -> str: ...
    def array(self) -> NDArray[np.uint8]: ...
    def save(self, path: Path, /) -> object: ...


def write_answer(study: Study, answer: Json, elements: Sequence[Element], folder: Path) -> list[Path]:
    """Write masks, DICOM objects and pictures of an answer into a folder; return the pictures.

    `elements[i]` belongs to `parts[i]` of `answer`. There is a picture for each plane that has something on
    it, and a `contact-sheet.png` of them, or of planes of the study where nothing was found. Images that
    cannot be decoded have no picture. Raises `ValueError` where a mask does not fit its image.
    """
    drawings = Drawings(study)
    shown: list[Drawing] = []
    for at, element in enumerate(elements):
        stem = folder / f"element-{at:03d}"
        if element.part["binary_type"] in MASK_TYPES:
            mask = element.array()
            np.save(stem.with_suffix(".npy"), mask)
            if element.part["binary_type"] != "heatmap":
                drawings.add_mask(element.part, mask)
        elif element.content_type == "application/dicom":
            element.save(stem.with_suffix(".dcm"))
            shown += _frames_of_file(stem)
        else:
            element.save(stem.with_suffix(".bin"))
    drawings.add_boxes(answer.get("bounding_boxes_2d") or [])
    drawings.add_labels(answer.get("series_ml_json") or {}, answer.get("study_ml_json") or {})
    shown += [drawing for drawing in drawings.all() if not drawing.empty]
    pictures = []
    for drawing, picture in _pictures(shown):
        pictures.append(folder / f"{drawing.name}.png")
        picture.save(pictures[-1])
    _write_contact_sheet(pictures, drawings, folder)
    return pictures


def _frames_of_file(stem: Path) -> list[Drawing]:
    """Return the frames of a DICOM object that came back, with nothing to be drawn over them."""
    study = read_study([stem.with_suffix(".dcm")])
    frames = [frame for instance in study.instances for frame in frames_of(instance)]
    return [Drawing(frame, f"{stem.name}-frame-{frame.number}") for frame in frames]


def _pictures(drawings: Sequence[Drawing]) -> Iterator[tuple[Drawing, Image.Image]]:
    """Draw one after the other; the rest of an image is left out where its pixels cannot be decoded."""
    with tqdm(desc="pictures", total=len(drawings), unit="picture") as bar:
        for _, of_image in groupby(drawings, key=lambda drawing: drawing.frame.instance):
            group = list(of_image)
            with suppress(PixelDataError):
                for drawing, pixels in zip(group, read_frames(one.frame for one in group), strict=True):
                    yield drawing, _picture(drawing, display_values(pixels))
            bar.update(len(group))


def _picture(drawing: Drawing, shown: NDArray[np.uint8]) -> Image.Image:
    zoom = zoom_to(*shown.shape[:2])
    return draw_overlay(shown, masks=drawing.masks, boxes=drawing.boxes, labels=drawing.labels, zoom=zoom)


def _write_contact_sheet(pictures: Sequence[Path], drawings: Drawings, folder: Path) -> None:
    tiles: list[tuple[Image.Image, str]] = []
    for path in _spread(pictures, _SHEET):
        with Image.open(path) as picture:
            picture.thumbnail((_TILE, _TILE))
            tiles.append((picture.convert("RGB"), path.stem))
    if not pictures:
        nothing = _pictures(_spread(drawings.all(), _SHEET_OF_NOTHING))
        tiles = [(picture, f"{drawing.name}: nothing") for drawing, picture in nothing]
    if tiles:
        sheet = contact_sheet([picture for picture, _ in tiles], [caption for _, caption in tiles], _TILE)
        sheet.save(folder / "contact-sheet.png")


def _spread(things: Sequence[T], most: int) -> list[T]:
    """Return at most so many things, evenly spread over all."""
    if len(things) <= most:
        return list(things)
    return [things[int(at)] for at in np.linspace(0, len(things) - 1, most).round()]
