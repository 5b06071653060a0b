"""The planes of a study in the order of their stacks, and what is to be drawn over each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.pixels import Pixels
from inference_gateway.dicom.presentation import AS_IT_IS, View
from inference_gateway.dicom.proportions import aspect_of
from inference_gateway.dicom.series import Frame, Series, Stack
from inference_gateway.dicom.shapes import Box, Heatmap, Line, Mask, Point
from inference_gateway.dicom.turns import AS_STORED, Turn
from inference_gateway.infer.request import by_timepoint


@dataclass(frozen=True, eq=False)
class Overlay:
    """All that is drawn over one plane."""

    masks: Sequence[Mask] = ()
    heatmaps: Sequence[Heatmap] = ()
    boxes: Sequence[Box] = ()
    lines: Sequence[Line] = ()
    labels: Sequence[str] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be seen of it."""
        drawn = self.boxes or self.lines or self.labels or any(mask.regions.numbers for mask in self.masks)
        return not drawn and all(heatmap.empty for heatmap in self.heatmaps)

    def turned(self, turn: Turn, rows: int, columns: int) -> Overlay:
        """Return what is drawn over an image of that size that is shown turned."""

        def moved(point: Point) -> Point:
            return turn.point(point, rows, columns)

        return Overlay(
            [replace(mask, values=turn.array(mask.values)) for mask in self.masks],
            [replace(heatmap, values=turn.array(heatmap.values)) for heatmap in self.heatmaps],
            [Box(moved(box.top_left), moved(box.bottom_right), box.label) for box in self.boxes],
            [
                replace(line, start=moved(line.start), end=moved(line.end), more=tuple(map(moved, line.more)))
                for line in self.lines
            ],
            self.labels,
        )


@dataclass(eq=False, slots=True)
class Drawing:
    """One plane of a stack, the name of its picture, and what is to be drawn over it.

    `layers` read their plane of a mask when they are called. `view` is how the answer wants it to be seen.
    Tuples: of most planes all four are empty.
    """

    frame: Frame
    name: str
    layers: tuple[Callable[[], Mask | Heatmap], ...] = ()
    boxes: tuple[Box, ...] = ()
    lines: tuple[Line, ...] = ()
    labels: tuple[str, ...] = ()
    view: View = AS_IT_IS

    def overlay(self) -> Overlay:
        """Read all that is drawn over this plane, turned as the plane is shown."""
        layers = [layer() for layer in self.layers]
        masks = [layer for layer in layers if isinstance(layer, Mask)]
        heatmaps = [layer for layer in layers if isinstance(layer, Heatmap)]
        overlay = Overlay(masks, heatmaps, self.boxes, self.lines, self.labels)
        if self.view.turn == AS_STORED:
            return overlay
        return overlay.turned(self.view.turn, self.frame.instance.rows, self.frame.instance.columns)

    def turned(self, pixels: Pixels) -> Pixels:
        """Return the pixels of the plane as they are shown."""
        if self.view.turn == AS_STORED:
            return pixels
        return replace(pixels, stored=self.view.turn.array(pixels.stored))

    def aspect(self, pixels: Pixels) -> float:
        """Return the height of a pixel by its width, as the plane is shown."""
        return self.view.turn.aspect(aspect_of(pixels.frame, pixels.header))

    def hidden(self) -> NDArray[np.bool_] | None:
        """Return which pixels a shutter hides, as the plane is shown; None without a shutter."""
        if self.view.shutter is None:
            return None
        rows, columns = self.frame.instance.rows, self.frame.instance.columns
        return self.view.turn.array(self.view.shutter.hidden(rows, columns))

    def shuttered(self, shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture of the plane, (rows, columns) or RGB, with what is hidden in grey."""
        hidden = self.hidden()
        if hidden is None or self.view.shutter is None:
            return shown
        covered = shown.copy()
        covered[hidden] = self.view.shutter.grey
        return covered


@dataclass(frozen=True, eq=False)
class Group:
    """The drawings of one stack, with a title that is made of numbers and words of ours."""

    title: str
    series_instance_uid: str
    stack: Stack
    drawings: list[Drawing]


def groups_of(number: int, series: Series) -> Iterable[Group]:
    """Yield the stacks of a series, which is the one of that number, from 1."""
    for at, stack in enumerate(series.stacks, start=1):
        one = len(series.stacks) == 1
        prefix = f"series-{number}" if one else f"series-{number}-stack-{at}"
        title = f"Series {number}" if one else f"Series {number}, stack {at}"
        drawings = [
            Drawing(frame, f"{prefix}-plane-{plane:03d}")
            for plane, frame in enumerate(by_timepoint(stack), start=1)
        ]
        yield Group(title, series.series_instance_uid, stack, drawings)
