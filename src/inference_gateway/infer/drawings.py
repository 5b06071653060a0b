"""What an answer says → what is to be drawn over which plane of the study that was sent.

The answer is not trusted: what is no such thing, or speaks of what is not in the study, is left out and
noted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.hues import Colors
from inference_gateway.dicom.overlay import Box, Heatmap, Line, Mask
from inference_gateway.dicom.series import Frame, Study, Vector
from inference_gateway.dicom.stored import PixelDataError
from inference_gateway.infer.geometry import box_of, line_of, plain, size_of
from inference_gateway.infer.groups import Drawing, Group, groups_of
from inference_gateway.infer.masks import StoredMask
from inference_gateway.infer.palettes import palette_of

Json = dict[str, Any]
Maker = Callable[[Any], Mask | Heatmap]
Shape = TypeVar("Shape", Box, Line)

# What of an entry of `parts` decides how a mask looks.
_LOOKS = ("binary_type", "label", "probability_threshold", "palette", "label_map")

_MOST_NOTES = 20

# Boxes, and lines, on one image: more of them hide it, and are drawn one by one.
_MOST_SHAPES = 1000
_MOST_LABELS = 12

# Corners that are nearer are of one plane: positions are rounded, slices are thicker.
_NEAR_MM = 0.2
_MOST_SHAPES_TOLD = 5


class Drawings:
    """The planes of a study in the order of their stacks, named by numbers from 1, never by UIDs.

    `notes` say what of the answer is not drawn, and why; they quote nothing of it. `colors` are those of all
    pictures: a thing has one, whatever it is drawn over.
    """

    def __init__(self, study: Study) -> None:
        self.groups = [
            group
            for number, series in enumerate(study.series, start=1)
            for group in groups_of(number, series)
        ]
        self.notes: list[str] = []
        self.colors = Colors()
        self._by_image = {(one.frame.instance.sop_instance_uid, one.frame.number): one for one in self.all()}
        self._palettes: dict[str, NDArray[np.uint8]] = {}
        self._makers: dict[str, Maker] = {}
        self._by_place: dict[tuple[int, int], list[Drawing]] | None = None
        self._turns: dict[tuple[str, tuple[int, ...]], int] = {}

    def all(self) -> list[Drawing]:
        """Return the drawings of all planes."""
        return [drawing for group in self.groups for drawing in group.drawings]

    def of_image(self, uid: str, frame: int | None = 1) -> list[Drawing]:
        """Return the drawing of a frame of an image, from 1; those of all frames where it is None."""
        if frame is not None:
            found = self._by_image.get((uid, frame))
            return [] if found is None else [found]
        return [one for (of, _), one in self._by_image.items() if of == uid]

    def at_place(self, rows: int, columns: int, position: Vector) -> Drawing | None:
        """Return the drawing of that size whose corner lies nearest, None where none lies near."""
        if self._by_place is None:
            self._by_place = {}
            for one in self.all():
                if one.frame.position is not None:
                    self._by_place.setdefault(size_of(one.frame), []).append(one)
        candidates = self._by_place.get((rows, columns), [])
        distances = [math.dist(cast(Vector, one.frame.position), position) for one in candidates]
        nearest = min(range(len(distances)), key=distances.__getitem__, default=-1)
        return candidates[nearest] if nearest >= 0 and distances[nearest] < _NEAR_MM else None

    def note(self, what: str, why: str) -> None:
        """Note that something is not drawn."""
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(f"{what} is not drawn: {why}")

    @contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Note whatever is raised while something is drawn: no image is worth an answer.

        What cannot be written is an error all the same: `OSError` with a number passes.
        """
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            why = f": {error}" if isinstance(error, PixelDataError) else f" ({type(error).__name__})"
            self.note(what, f"its picture cannot be made{why}")

    def hint(self, sentence: str) -> None:
        """Say what is drawn, but hardly as it was meant."""
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(sentence)

    def add_mask(self, what: str, part: Json, mask: StoredMask, palettes: Any = None) -> None:
        """Lay a mask over the image that its part names, or over the planes of the series that it names.

        Masks of one series go to its stacks of that shape in turn. `what` is what notes call it.
        """
        try:
            make = self._maker(part, palettes)
        except ValueError as error:
            self.note(what, str(error))
            return
        kind = part.get("binary_type")
        if mask.greatest == 1 and kind in ("probability_mask", "heatmap"):
            self.hint(f"{what} has no value over 1: in a {kind} 255 stands for 1 (0 and 1: boolean_mask)")
        planes = self._planes_of(part, mask)
        if not planes:
            self.note(what, self._why_not(part, mask))
        for at, drawing in planes:
            drawing.layers += (partial(_read_layer, make, mask, at),)

    def _maker(self, part: Json, palettes: Any) -> Maker:
        """Return what makes a layer of a plane: the same one for parts that say the same of how it looks.

        Raises `ValueError` where the part is wrong.
        """
        looks = json.dumps([part.get(key) for key in _LOOKS])
        if looks not in self._makers:
            self._makers[looks] = _maker_of(part, lambda: self._palette(part, palettes))
        return self._makers[looks]

    def _palette(self, part: Json, palettes: Any) -> NDArray[np.uint8]:
        """Return the palette of a part, made once for all that name it. Raises `ValueError`."""
        name = str(part.get("palette"))
        if name not in self._palettes:
            self._palettes[name] = palette_of(part, palettes)
        return self._palettes[name]

    def add_boxes(self, boxes: Any) -> None:
        """Put boxes, entries of `bounding_boxes_2d`, on the images that they name."""
        for drawing, found in self._on_images(boxes, "bounding box", box_of):
            drawing.boxes += tuple(found)

    def add_lines(self, lines: Any) -> None:
        """Put lines, entries of `linear_measurements_2d`, on the images that they name, with lengths."""
        for drawing, found in self._on_images(lines, "linear measurement", line_of):
            drawing.lines += tuple(found)

    def _on_images(
        self, entries: Any, name: str, make: Callable[[Json, Frame], Shape]
    ) -> Iterable[tuple[Drawing, list[Shape]]]:
        """Return what `make` makes of entries, by the images that they name; it raises `ValueError`."""
        by_image: dict[int, tuple[Drawing, list[Shape]]] = {}
        left_over = 0
        for number, entry in enumerate(_list(entries), start=1):
            what = f"{name} {number}"
            drawing = self._image(_reference(entry))
            if drawing is None:
                self.note(what, "no image of the study has its SOPInstanceUID and frame_number")
                continue
            _, on_it = by_image.setdefault(id(drawing), (drawing, []))
            if len(on_it) == _MOST_SHAPES:
                left_over += 1
                continue
            try:
                on_it.append(make(entry, drawing.frame))
            except ValueError as error:
                self.note(what, str(error))
        if left_over:
            self.note(f"{name}, {left_over:,} times,", f"its image has {_MOST_SHAPES:,} already")
        return by_image.values()

    def add_labels(self, series_labels: Any, study_labels: Any, *, everywhere: bool = False) -> None:
        """Write `series_ml_json` and `study_ml_json` on the plane in the middle of each stack, or on all."""
        by_series = series_labels if isinstance(series_labels, Mapping) else {}
        for group in self.groups:
            lines = [
                *_lines("series", by_series.get(group.series_instance_uid)),
                *_lines("study", study_labels),
            ]
            middle = group.drawings[len(group.drawings) // 2]
            for drawing in group.drawings if everywhere else [middle]:
                drawing.labels += tuple(lines)

    def _planes_of(self, part: Json, mask: StoredMask) -> list[tuple[int, Drawing]]:
        """Return which plane of the mask goes to which drawing."""
        if len(mask.shape) == 2 and not _names_series_only(part):
            found = self._image(_reference(part))
            fits = found is not None and size_of(found.frame) == mask.shape
            return [(0, found)] if found is not None and fits else []
        uid = part.get("SeriesInstanceUID")
        candidates = [
            planes
            for group in self.groups
            if uid in (None, group.series_instance_uid) and (planes := _matched(group, mask.volume))
        ]
        if not candidates:
            return []
        key = str(uid), mask.volume
        turn = self._turns[key] = self._turns.get(key, -1) + 1
        return candidates[turn % len(candidates)]

    def _why_not(self, part: Json, mask: StoredMask) -> str:
        """Return why a mask has no planes to lie over, with the shapes that do not fit."""
        shape = _told(mask.shape)
        if len(mask.shape) == 2 and not _names_series_only(part):
            found = self._image(_reference(part))
            if found is None:
                return "no image of the study has its SOPInstanceUID and frame_number"
            return f"it is {shape}, and its image is {_told(size_of(found.frame))}"
        uid = part.get("SeriesInstanceUID")
        shapes = [_shape_of(group) for group in self.groups if uid in (None, group.series_instance_uid)]
        if not shapes:
            return "no series of the study has its SeriesInstanceUID"
        its = "its series is" if uid else "the series are"
        return f"it is {shape}, and {its} {', '.join(dict.fromkeys(shapes[:_MOST_SHAPES_TOLD]))}"

    def _image(self, reference: Mapping[str, Any]) -> Drawing | None:
        number = reference.get("frame_number")
        # Frames count from 1 (PS3.3 10.3); models that count from 0 mean the first by 0, as by nothing.
        if number is None:
            number = 1
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            return None
        frame = max(1, number)
        return self._by_image.get((str(reference.get("SOPInstanceUID")), frame))


def _maker_of(part: Json, palette: Callable[[], NDArray[np.uint8]]) -> Maker:
    """Return what makes a layer of the values of a plane. Raises `ValueError` where the part is wrong."""
    label, kind = plain(part.get("label", "")), part.get("binary_type")
    if kind == "heatmap":
        return partial(Heatmap, palette=palette(), label=label)
    threshold = part.get("probability_threshold")
    if threshold is not None and not (isinstance(threshold, int | float) and 0 <= threshold <= 1):
        raise ValueError("its probability_threshold is no number from 0 to 1")
    names = part.get("label_map")
    label_map = {
        int(key): plain(name)
        for key, name in (names.items() if isinstance(names, Mapping) else ())
        if str(key).isdecimal() and len(key) < 20
    }
    return partial(Mask, binary_type=cast(Any, kind), label=label, threshold=threshold, label_map=label_map)


def _read_layer(make: Maker, mask: StoredMask, at: int) -> Mask | Heatmap:
    return make(mask.plane(at))


def _matched(group: Group, volume: tuple[int, int, int, int]) -> list[tuple[int, Drawing]]:
    """Return which plane of a mask of (timepoints, depth, height, width) goes to which drawing of a stack.

    A mask of as many planes as there are frames lies over them in the order of the stack: frames at one place
    side by side. One of one timepoint lies over the first timepoint.
    """
    timepoints, depth, height, width = volume
    stack = group.stack
    drawings = group.drawings
    places = len(drawings) // stack.timepoints
    if (height, width) != stack.shape[1:]:
        return []
    if (timepoints, depth) == (stack.timepoints, places) or (timepoints, depth) == (1, places):
        return list(enumerate(drawings[: timepoints * depth]))
    if timepoints * depth != len(drawings):
        return []
    by_frame = {drawing.frame: drawing for drawing in drawings}
    return [(at, by_frame[frame]) for at, frame in enumerate(stack.frames)]


def _shape_of(group: Group) -> str:
    """Return timepoints (where there are several), depth, height and width of a stack."""
    depth, rows, columns = group.stack.shape
    timepoints = group.stack.timepoints
    return _told((timepoints, depth // timepoints, rows, columns)[timepoints == 1 :])


def _told(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _names_series_only(part: Json) -> bool:
    return "SeriesInstanceUID" in part and "SOPInstanceUID" not in _reference(part)


def _reference(part: Json) -> Json:
    inner = part.get("dicom_image")
    return inner if isinstance(inner, dict) else part


def _list(value: Any) -> list[Json]:
    """Return the entries that are objects; another thing in their place becomes an empty one."""
    entries = value if isinstance(value, list) else []
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _lines(of: str, labels: Any) -> list[str]:
    """Return lines of text, `series label: lesion`, for labels that are a mapping, a value or nothing."""
    if isinstance(labels, Mapping):
        pairs = list(labels.items())[:_MOST_LABELS]
        return [f"{of} {plain(key)}: {plain(value)}" for key, value in pairs]
    return [] if labels is None else [f"{of}: {plain(labels)}"]
