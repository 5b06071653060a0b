"""What a model may find on one image: masks, heatmaps, boxes, lines. Data only: `overlay` draws it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.hues import Color, Colors

Byte = NDArray[np.uint8]
Point = tuple[float, float]

# Values that are counted in one array; greater ones are sorted.
_COUNTABLE = 1 << 16


@dataclass(frozen=True, eq=False)
class Regions:
    """Where the regions of a mask are: `index` is 0 outside, k within the region of `numbers[k - 1]`."""

    numbers: tuple[int, ...]
    index: NDArray[np.unsignedinteger[Any]]

    @cached_property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns around all regions, of which there must be one."""
        rows, columns = (np.flatnonzero(self.index.any(axis=axis)) for axis in (1, 0))
        return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


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

    @cached_property
    def regions(self) -> Regions:
        """The regions, in one pass over the values, however many there are."""
        if self.binary_type == "numeric_label_mask":
            return _labelled(self.values)
        if self.binary_type == "boolean_mask":
            covered = self.values != 0
        elif self.threshold is None:
            covered = self.values > (127 if self.values.dtype == np.uint8 else 0.5)
        else:
            covered = self.values > self.threshold * (255.0 if self.values.dtype == np.uint8 else 1.0)
        return Regions((1,) if covered.any() else (), covered.view(np.uint8))

    def name_of(self, number: int) -> str:
        """Return what to call a region, "" where nothing names it."""
        if self.binary_type != "numeric_label_mask":
            return self.label
        return self.label_map.get(number) or (f"{self.label} {number}" if self.label else "")


def _labelled(values: NDArray[Any]) -> Regions:
    """Return a region for each value other than 0."""
    if values.dtype.kind in "ui" and values.size and values.min() >= 0 and values.max() < _COUNTABLE:
        present = np.flatnonzero(np.bincount(values.ravel()))
    else:
        present = np.unique(values)
    numbers = present[present != 0]
    dtype = np.min_scalar_type(len(numbers))
    if len(numbers) and numbers[0] > 0 and numbers[-1] < _COUNTABLE:
        table = np.zeros(int(numbers[-1]) + 1, dtype)
        table[numbers.astype(np.intp)] = np.arange(1, len(numbers) + 1)
        index = table[values.astype(np.intp)]
    else:
        index = (np.searchsorted(numbers, values) + 1).astype(dtype)
        index[values == 0] = 0
    return Regions(tuple(int(number) for number in numbers), index)


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

    @cached_property
    def empty(self) -> bool:
        """Whether all of it is transparent."""
        return not self.colors()[..., 3].any()


@dataclass(frozen=True)
class Box:
    """A box in pixels of the image, (x, y); both corners belong to it."""

    top_left: Point
    bottom_right: Point
    label: str = ""


@dataclass(frozen=True)
class Line:
    """A line through the middles of pixels of the image, (x, y); its ends have dots.

    `name` says what it is where the `label` says more, such as its length. `more` are further points of a
    line that bends, which has no dots.
    """

    start: Point
    end: Point
    label: str = ""
    name: str = ""
    more: tuple[Point, ...] = ()

    @property
    def points(self) -> tuple[Point, ...]:
        """All points, in order."""
        return self.start, self.end, *self.more


class Painted:
    """Which colour each thing on one image has, given by `colors`.

    Things of one name have one colour, everywhere; those without a name take turns on their image.
    """

    def __init__(self, masks: Sequence[Mask], colors: Colors) -> None:
        self._masks, self._colors = masks, colors

    def regions(self) -> Iterator[tuple[Mask, list[tuple[str, Color]]]]:
        """Yield each mask with name and colour of each of its regions."""
        for at, mask in enumerate(self._masks):
            named = [(mask.name_of(number), number) for number in mask.regions.numbers]
            yield mask, [(name, self.color(name, ("mask", at, number))) for name, number in named]

    def color(self, name: str, turn: Hashable) -> Color:
        """Return the colour of a thing of that name, else of that turn."""
        return self._colors.of(name or turn)
