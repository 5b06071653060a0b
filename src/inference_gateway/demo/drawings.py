"""What an answer says → what is to be drawn over which plane of the study that was sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.overlay import Box, Mask
from inference_gateway.dicom.series import Frame, Series, Stack, Study

Json = dict[str, Any]


@dataclass(eq=False)
class Drawing:
    """One plane of a stack, the name of its picture, and what is to be drawn over it."""

    frame: Frame
    name: str
    masks: list[Mask] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.boxes or self.labels or any(mask.regions() for mask in self.masks))


class Drawings:
    """The planes of a study in the order of their stacks, named by numbers from 1, never by UIDs.

    What an answer says of an image or a series that is not in the study is left out.
    """

    def __init__(self, study: Study) -> None:
        self._by_stack: list[tuple[str, Stack, list[Drawing]]] = []
        for number, series in enumerate(study.series, start=1):
            for stack, drawings in _named(number, series):
                self._by_stack.append((series.series_instance_uid, stack, drawings))
        self._by_image = {(one.frame.instance.sop_instance_uid, one.frame.number): one for one in self.all()}
        self._masked: set[int] = set()

    def all(self) -> list[Drawing]:
        """Return the drawings of all planes."""
        return [drawing for _, _, drawings in self._by_stack for drawing in drawings]

    def add_mask(self, part: Mapping[str, Any], mask: NDArray[np.uint8]) -> None:
        """Lay a mask over the image that its part names, or over the planes of the series that it names.

        `mask` is (height, width), or (timepoint, depth, height, width) of which the first timepoint is drawn.
        Masks of one series go to its stacks of that shape in turn.
        """
        planes = [mask] if mask.ndim == 2 else list(mask[0])
        for drawing, plane in zip(self._planes_of(part, mask), planes, strict=False):
            drawing.masks.append(Mask(plane, part["binary_type"], str(part.get("label", ""))))

    def add_boxes(self, boxes: Iterable[Json]) -> None:
        """Put boxes, entries of `bounding_boxes_2d`, on the images that they name."""
        for box in boxes:
            drawing = self._image(box)
            if drawing is not None:
                (left, top), (right, bottom) = box["top_left"], box["bottom_right"]
                drawing.boxes.append(Box((left, top), (right, bottom), str(box.get("label", ""))))

    def add_labels(self, series_labels: Json, study_labels: Json) -> None:
        """Write `series_ml_json` and `study_ml_json` on the plane in the middle of each stack."""
        for uid, _, drawings in self._by_stack:
            lines = [*_lines("series", series_labels.get(uid)), *_lines("study", study_labels)]
            drawings[len(drawings) // 2].labels.extend(lines)

    def _planes_of(self, part: Mapping[str, Any], mask: NDArray[np.uint8]) -> Sequence[Drawing]:
        if mask.ndim == 2:
            drawing = self._image(part.get("dicom_image") or part)
            return [drawing] if drawing is not None else []
        for at, (uid, stack, drawings) in enumerate(self._by_stack):
            if (
                at not in self._masked
                and uid == part.get("SeriesInstanceUID")
                and stack.shape == mask.shape[1:]
            ):
                self._masked.add(at)
                return drawings
        return []

    def _image(self, reference: Mapping[str, Any]) -> Drawing | None:
        return self._by_image.get(
            (str(reference.get("SOPInstanceUID")), int(reference.get("frame_number", 1)))
        )


def _named(number: int, series: Series) -> Iterable[tuple[Stack, list[Drawing]]]:
    for at, stack in enumerate(series.stacks, start=1):
        prefix = f"series-{number}" if len(series.stacks) == 1 else f"series-{number}-stack-{at}"
        names = (f"{prefix}-plane-{plane:03d}" for plane in range(1, len(stack.frames) + 1))
        yield stack, [Drawing(frame, name) for frame, name in zip(stack.frames, names, strict=True)]


def _lines(of: str, labels: Any) -> list[str]:
    """Return lines of text, `series label: lesion`, for labels that are a mapping, a value or nothing."""
    if isinstance(labels, dict):
        return [f"{of} {key}: {value}" for key, value in labels.items()]
    return [] if labels is None else [f"{of}: {labels}"]
