"""The planes of a study in the order of their stacks, and what is to be drawn over each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from inference_gateway.dicom.pixels import Window
from inference_gateway.dicom.series import Frame, Series, Stack
from inference_gateway.dicom.shapes import Box, Heatmap, Line, Mask
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


@dataclass(eq=False, slots=True)
class Drawing:
    """One plane of a stack, the name of its picture, and what is to be drawn over it.

    `layers` read their plane of a mask when they are called. `window` is one that the answer asks for.
    Tuples: of most planes all four are empty.
    """

    frame: Frame
    name: str
    layers: tuple[Callable[[], Mask | Heatmap], ...] = ()
    boxes: tuple[Box, ...] = ()
    lines: tuple[Line, ...] = ()
    labels: tuple[str, ...] = ()
    window: Window | None = None

    def overlay(self) -> Overlay:
        """Read all that is drawn over this plane."""
        layers = [layer() for layer in self.layers]
        masks = [layer for layer in layers if isinstance(layer, Mask)]
        heatmaps = [layer for layer in layers if isinstance(layer, Heatmap)]
        return Overlay(masks, heatmaps, self.boxes, self.lines, self.labels)


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
