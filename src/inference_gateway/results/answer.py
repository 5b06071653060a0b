"""A builder for what a model returns: JSON and elements grow together, so that they cannot disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from inference_gateway.results.sources import (
    ImageLike,
    PlaneLike,
    SeriesLike,
    described,
    frames_of,
    is_series,
    reference_to,
    series_uid_of,
)

Json: TypeAlias = dict[str, Any]
Source: TypeAlias = SeriesLike | PlaneLike | ImageLike | Any
Colour: TypeAlias = Sequence[int]
Point: TypeAlias = Sequence[Any] | npt.NDArray[Any]

_LOOK = 1 << 20  # values of a mask that is looked at for a likely mistake
_NUMBERS = 256


class Answer:
    """What a model found. A callback returns it: `return answer`.

    ```python
    answer = Answer()
    answer.mask(from_bool(volume > 300), series, label="bone")
    return answer
    ```

    `source`, where a method takes one, is a series (`SeriesLike`) or one image (`PlaneLike`, or a pydicom
    `Dataset`). A mask of a series has the shape (depth, rows, columns) or (timepoints, depth, rows, columns),
    one of an image (rows, columns), or (frames, rows, columns) where it has several frames. `plane`, from 0,
    puts a mask of (rows, columns) on one plane of a series, or one frame of an image. Masks are uint8:
    `from_bool` and `from_probability` make it. `more`: further keys of the entry, which clients get as they
    are.

    Methods that take a mask raise `TypeError` for another dtype, and `ValueError`, which says both shapes,
    where the shape is not that of the source.
    """

    def __init__(self) -> None:
        self._json: Json = {"protocol_version": "1.0", "parts": []}
        self._elements: list[Any] = []

    def result(self) -> tuple[Json, list[Any]]:
        """Return the JSON and the elements, as a callback may return them, too.

        Raises `ValueError` where a heatmap uses a palette that was not added.
        """
        palettes = self._json.get("palettes", {})
        for part in self._json["parts"]:
            if part.get("palette", None) not in (None, *palettes):
                raise ValueError("a heatmap uses a palette that is not there: add it by Answer.palette")
        return self._json, self._elements

    # Masks

    def mask(
        self, values: npt.NDArray[Any], source: Source, *, label: str, plane: int | None = None, **more: Any
    ) -> None:
        """Add a mask of yes and no: uint8, 0 for no and any one other value for yes (`boolean_mask`)."""
        self._add_mask("boolean_mask", values, source, plane, {"label": label}, more, most=2)

    def probability(
        self,
        values: npt.NDArray[Any],
        source: Source,
        *,
        label: str,
        threshold: float | None = None,
        plane: int | None = None,
        **more: Any,
    ) -> None:
        """Add a mask of probabilities: uint8, 255 for 1.0 (`probability_mask`).

        `threshold`: from 0.0 to 1.0; a client shows what is over it, over 0.5 where it is not given.
        """
        if threshold is not None and not 0.0 <= threshold <= 1.0:
            raise ValueError("a threshold is from 0.0 to 1.0")
        keys: Json = {"label": label}
        if threshold is not None:
            keys["probability_threshold"] = float(threshold)
        self._add_mask("probability_mask", values, source, plane, keys, more)

    def label_mask(
        self,
        values: npt.NDArray[Any],
        source: Source,
        names: Mapping[int, str],
        *,
        label: str = "",
        plane: int | None = None,
        **more: Any,
    ) -> None:
        """Add a mask of numbers: uint8, 0 for nothing, each other number one region (`numeric_label_mask`).

        `names`: of each number from 1 to 255 that is in the mask. Raises `ValueError` where one has none.
        """
        if not names or not all(0 <= number < _NUMBERS and name for number, name in names.items()):
            raise ValueError("names is a name for each number of the mask: {1: 'liver', 2: 'spleen'}")
        missing = sorted(_numbers_in(_checked(values)) - {0, *names})
        if missing:
            raise ValueError(f"the mask has numbers that names does not have: {missing}")
        keys = {"label": label, "label_map": {str(number): name for number, name in names.items()}}
        self._add_mask("numeric_label_mask", values, source, plane, keys, more)

    def heatmap(
        self,
        values: npt.NDArray[Any],
        source: Source,
        *,
        label: str,
        palette: str | None = None,
        plane: int | None = None,
        **more: Any,
    ) -> None:
        """Add a heatmap: uint8, 255 for 1.0, which a palette gives colours (`heatmap`).

        `palette`: the name of one that `palette` adds; without it, from transparent through red to yellow.
        """
        keys = {"label": label} if palette is None else {"label": label, "palette": palette}
        self._add_mask("heatmap", values, source, plane, keys, more)

    def palette(self, name: str, colours: Sequence[tuple[float, Colour]] | npt.NDArray[np.uint8]) -> None:
        """Add a palette for heatmaps.

        `colours`: (threshold, (red, green, blue, alpha)) with thresholds that rise from 0.0 to 1.0 and
        colours from 0 to 255, between which colours are mixed; or a table, uint8 of (256, 4). Raises
        `ValueError` for another thing.
        """
        if isinstance(colours, np.ndarray):
            if colours.shape != (_NUMBERS, 4) or colours.dtype != np.uint8:
                raise ValueError("a palette as a table is uint8 of (256, 4): red, green, blue, alpha")
            data: Any = colours.reshape(-1).tolist()
        else:
            at = [float(threshold) for threshold, _ in colours]
            if len(at) < 2 or at[0] != 0.0 or at[-1] != 1.0 or at != sorted(at):
                raise ValueError("the thresholds of a palette rise from 0.0 to 1.0")
            data = [
                {"threshold": float(threshold), "color": _colour(colour)} for threshold, colour in colours
            ]
        kind = "lut" if isinstance(colours, np.ndarray) else "anchorpoints"
        self._json.setdefault("palettes", {})[name] = {"type": kind, "data": data}

    # What is drawn on one image

    def box(
        self,
        source: Source,
        top_left: Point,
        bottom_right: Point,
        *,
        label: str = "",
        plane: int = 0,
        **more: Any,
    ) -> None:
        """Add a box. Corners are (column, row), from 0; both belong to the box.

        Raises `ValueError` where they are the wrong way round.
        """
        corners = _point(top_left, 2), _point(bottom_right, 2)
        if corners[0][0] > corners[1][0] or corners[0][1] > corners[1][1]:
            raise ValueError("top_left has the smaller column and row, bottom_right the greater")
        keys = {"label": label, **reference_to(source, plane), **more}
        keys |= {"top_left": corners[0], "bottom_right": corners[1]}
        self._json.setdefault("bounding_boxes_2d", []).append(keys)

    def measurement(
        self,
        source: Source,
        start: Point,
        end: Point,
        *,
        label: str = "",
        plane: int = 0,
        world: bool = False,
        **more: Any,
    ) -> None:
        """Add a line, which clients show with its length.

        Ends are (column, row), from 0; with `world` (x, y, z), patient coordinates in mm.
        """
        count = 3 if world else 2
        keys = {
            "label": label,
            **reference_to(source, plane),
            "coordinates_type": "world" if world else "pixel",
        }
        keys |= {**more, "start": _point(start, count), "end": _point(end, count)}
        self._json.setdefault("linear_measurements_2d", []).append(keys)

    # What is said

    def series_labels(self, source: Source, labels: Mapping[str, Any]) -> None:
        """Say something of a series, or of the series of an image: more names and values each time."""
        said = self._json.setdefault("series_ml_json", {})
        said.setdefault(series_uid_of(source), {}).update(labels)

    def study_labels(self, labels: Mapping[str, Any]) -> None:
        """Say something of the whole study: more names and values each time."""
        self._json.setdefault("study_ml_json", {}).update(labels)

    def conformance(self, *sentences: str) -> None:
        """Say what of the study is not as the model wants it; clients show it as a warning."""
        self._json.setdefault("dicomConformance", []).extend(sentences)

    def set(self, **keys: Any) -> None:
        """Set further keys of the JSON, which clients get as they are.

        Raises `ValueError` for one of the contract's: it has a method of its own.
        """
        taken = sorted(_CONTRACT & keys.keys())
        if taken:
            raise ValueError(f"{', '.join(taken)}: use the method of Answer for it")
        self._json.update(keys)

    # DICOM objects

    def dicom(self, value: Any, *, label: str = "", **more: Any) -> None:
        """Add a DICOM object, such as a segmentation.

        `value`: a pydicom `Dataset`, or a whole file (PS3.10) as bytes, a binary file or a path.
        """
        self._add("dicom", value, label, more)

    def capture(self, value: Any, *, label: str = "", **more: Any) -> None:
        """Add a secondary capture: a picture as a DICOM object. `value`: as in `dicom`."""
        self._add("dicom_secondary_capture", value, label, more)

    def report(self, value: Any, *, label: str = "", **more: Any) -> None:
        """Add a structured report. `value`: as in `dicom`."""
        self._add("dicom_structured_report", value, label, more)

    def presentation(self, value: Any, *, label: str = "", **more: Any) -> None:
        """Add a presentation state: graphics and a window for images. `value`: as in `dicom`."""
        self._add("dicom_gsps", value, label, more)

    def part(self, binary_type: str, value: Any, **keys: Any) -> None:
        """Add an element of a type of the application's own (`Gateway(binary_types=...)`)."""
        self._json["parts"].append({"binary_type": binary_type, **keys})
        self._elements.append(value)

    def _add(self, binary_type: str, value: Any, label: str, more: Json) -> None:
        self.part(binary_type, value, **({"label": label} if label else {}), **more)

    def _add_mask(
        self,
        binary_type: str,
        values: npt.NDArray[Any],
        source: Source,
        plane: int | None,
        keys: Json,
        more: Json,
        most: int = _NUMBERS,
    ) -> None:
        array = _checked(values)
        if most < _NUMBERS and len(np.unique(array.reshape(-1)[:: -(-array.size // _LOOK) or 1])) > most:
            raise ValueError(
                "a mask of yes and no has 0 and one other value: probability() takes probabilities, "
                "label_mask() several regions"
            )
        for one, at in _planes(array, source, plane):
            self.part(binary_type, one, **keys, **described(source, one.shape, at), **more)


_CONTRACT = {
    *("protocol_version", "parts", "palettes", "bounding_boxes_2d", "linear_measurements_2d"),
    *("series_ml_json", "study_ml_json", "dicomConformance"),
}


def _planes(
    array: npt.NDArray[np.uint8], source: Source, plane: int | None
) -> Iterable[tuple[npt.NDArray[np.uint8], int | None]]:
    """Yield what is an element of its own: a mask of an image with frames is one for each frame."""
    if array.ndim == 3 and plane is None and not is_series(source) and len(array) == frames_of(source):
        return [(one, at) for at, one in enumerate(array)]
    return [(array, plane)]


def _checked(values: Any) -> npt.NDArray[np.uint8]:
    """Return a mask as an array. Raises `TypeError`, which says what to write, where it is not uint8."""
    array = np.asarray(values)
    if array.dtype == np.uint8:
        return array
    help_ = {"b": "from_bool(values)", "f": "from_probability(values), of 0.0 to 1.0"}.get(
        array.dtype.kind, "values.astype(np.uint8), where no value is over 255"
    )
    raise TypeError(f"a mask is uint8, and this is {array.dtype}: write {help_}")


def _numbers_in(mask: npt.NDArray[np.uint8]) -> set[int]:
    """Return the values of a mask. Block by block: `bincount` takes eight bytes for each of them."""
    flat = mask.reshape(-1)
    counts = np.zeros(_NUMBERS, np.int64)
    for at in range(0, flat.size, _LOOK):
        counts += np.bincount(flat[at : at + _LOOK], minlength=_NUMBERS)
    return set(np.flatnonzero(counts).tolist())


def _point(value: Point, count: int) -> list[float]:
    point = [number.item() if isinstance(number, np.generic) else number for number in value]
    if len(point) != count or not all(np.isfinite(point)):
        names = "(column, row)" if count == 2 else "(x, y, z)"
        raise ValueError(f"a point is {count} finite numbers, {names}")
    return point


def _colour(colour: Colour) -> list[int]:
    numbers = [int(one) for one in colour]
    if len(numbers) != 4 or not all(0 <= one < _NUMBERS for one in numbers):
        raise ValueError("a colour is red, green, blue and alpha, each from 0 to 255")
    return numbers
