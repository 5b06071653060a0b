"""Frames of one series → stacks: frames that make a volume, in the order in which they lie in space."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom import attributes
from inference_gateway.dicom.instances import Frame, Peers, Vector
from inference_gateway.dicom.irregularities import TOLERANCE, irregularities, steps_without_gaps, unlike
from inference_gateway.dicom.order import in_places

# Direction cosines that differ by less are one orientation; pixel spacings that differ by less (mm) are one.
_COSINE_TOLERANCE = 1e-3
_SPACING_TOLERANCE = 1e-3

# Stacks of a series with which a frame is compared within these tolerances; beyond, it must be the very same.
_MOST_COMPARED = 100


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames of one series that make a volume: one matrix size, orientation and pixel spacing, in order.

    Frames that share a position (the phases of a beating heart) lie next to each other in one stack, in the
    order of time. `of_series`: sentences about what of its series is not in this stack.
    """

    frames: tuple[Frame, ...]
    of_series: tuple[str, ...] = field(default=(), repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Depth, rows, columns."""
        return len(self.frames), self.frames[0].instance.rows, self.frames[0].instance.columns

    @cached_property
    def places(self) -> tuple[tuple[Frame, ...], ...]:
        """The frames by place along the normal, at each place in the order of time."""
        return tuple(map(tuple, in_places(self.frames)))

    @property
    def timepoints(self) -> int:
        """Frames at each place; 1 where places are unknown, or have different numbers of frames."""
        numbers = {len(place) for place in self.places}
        return numbers.pop() if len(numbers) == 1 else 1

    @property
    def spacing(self) -> Vector | None:
        """Distance in mm between planes, between rows, between columns; None where it is not known.

        Between planes: (last - first) / (number of places - 1), gaps left out; for frames at one place
        SpacingBetweenSlices, else SliceThickness.
        """
        in_plane = self.frames[0].pixel_spacing
        between = self._plane_spacing()
        return None if in_plane is None or between is None else (between, in_plane[0], in_plane[1])

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """The matrix (4, 4) from (place, row, column, 1) to (x, y, z, 1) in mm, None where it is not known.

        x goes to the patient's left, y to the back, z to the head (PS3.3 C.7.6.2.1.1). It is true of every
        voxel only where nothing is irregular.
        """
        first, last = self.places[0][0], self.places[-1][0]
        spacing, normal = self.spacing, first.normal
        if spacing is None or normal is None or first.position is None or first.orientation is None:
            return None
        affine = np.eye(4)
        along = np.array(normal)
        if last.position is not None and len(self.places) > 1:  # planes may be shifted sideways, as by a tilt
            way = np.subtract(last.position, first.position)
            along = way / (way @ along)
        affine[:3, 0] = along * spacing[0]
        affine[:3, 1] = np.array(first.orientation[3:]) * spacing[1]
        affine[:3, 2] = np.array(first.orientation[:3]) * spacing[2]
        affine[:3, 3] = first.position
        return affine

    @cached_property
    def irregularities(self) -> tuple[str, ...]:
        """What keeps the stack from being one volume with one spacing, with numbers; () where nothing does.

        Gaps, uneven steps, duplicate places, lost phases, shifted planes, tiles, and what of its series lies
        elsewhere or was left out. Planes are counted from 1. Nothing of a patient is quoted.
        """
        return self.irregularities_beyond(TOLERANCE)

    def irregularities_beyond(self, tolerance: float) -> tuple[str, ...]:
        """Return the irregularities where planes may lie beside an even grid by this part of a step."""
        return (*irregularities(self.places, tolerance), *self.of_series)

    def _plane_spacing(self) -> float | None:
        first = self.places[0][0]
        if first.instance.tiled:
            return None
        distances = [place[0].distance for place in self.places]
        known = [distance for distance in distances if distance is not None]
        if 1 < len(known) == len(distances):
            steps = steps_without_gaps([after - before for before, after in pairwise(known)])
            return sum(steps) / len(steps)
        keywords = (
            ["SpacingBetweenSlices"] if len(distances) > 1 else ["SpacingBetweenSlices", "SliceThickness"]
        )
        header = first.instance.read_header()
        for keyword in keywords:
            found = attributes.frame_numbers(header, first.number, "PixelMeasuresSequence", keyword, 1)
            if found and found[0] != 0:
                return abs(found[0])  # the sign says on which side the next one lies (PS3.3 C.8.4.15)
        return None


def stacks_of(frames: Iterable[Frame], left_out: Sequence[str] = ()) -> tuple[Stack, ...]:
    """Return the stacks of the frames of one series, in order of arrival.

    `left_out` says which images of the series are missing, and why.
    """
    groups: list[list[Frame]] = []
    by_kind: dict[object, list[Frame]] = {}
    for frame in frames:
        kind = frame.instance.rows, frame.instance.columns, frame.orientation, frame.pixel_spacing
        if kind not in by_kind:
            compared = groups[:_MOST_COMPARED]
            group = next((one for one in compared if _alike(one[0], frame)), None)
            if group is None:
                group = []
                groups.append(group)
            by_kind[kind] = group
        by_kind[kind].append(frame)
    elsewhere = unlike([group[0] for group in groups], [len(group) for group in groups])
    return tuple(_stack(group, (*said, *left_out)) for group, said in zip(groups, elsewhere, strict=True))


def _stack(group: Sequence[Frame], of_series: tuple[str, ...]) -> Stack:
    peers = Peers()
    peers.members = [(frame.instance, frame.number) for frame in group]
    ordered = [frame for place in in_places(group) for frame in place]
    return Stack(tuple(Frame(frame.instance, frame.number, peers) for frame in ordered), of_series)


def _alike(one: Frame, other: Frame) -> bool:
    return (
        (one.instance.rows, one.instance.columns) == (other.instance.rows, other.instance.columns)
        and close(one.orientation, other.orientation, _COSINE_TOLERANCE)
        and close(one.pixel_spacing, other.pixel_spacing, _SPACING_TOLERANCE)
    )


def close(one: tuple[float, ...] | None, other: tuple[float, ...] | None, tolerance: float) -> bool:
    """Return whether numbers are the same but for a tolerance; unknown ones are like unknown ones only."""
    if one is None or other is None:
        return one is other
    return all(math.isclose(a, b, rel_tol=0.0, abs_tol=tolerance) for a, b in zip(one, other, strict=True))
