"""Frames of one kind → places in the order in which they lie, each with its frames in the order of time.

Frames lie at one place where they differ along the normal by jitter only: steps that are small beside the
pixels and much smaller than the next larger step. Places are found by such clusters, never by rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise

from inference_gateway.dicom.instances import Frame, Phase
from inference_gateway.dicom.places import PHASE_KEYS

# Jitter is at most this part of a pixel's smaller side, or so many mm where that is unknown, and steps
# between places are at least so many times as large.
_JITTER = 0.25
_JITTER_MM = 0.01
_STEP_TO_JITTER = 4.0

# Positions that differ by less are written differently, and no more (mm).
_SAME = 1e-4

_DIMENSIONS = len(PHASE_KEYS) - 1


def in_places(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the frames by place along the normal, and at each place by time.

    Where a frame has no distance, each one is a place by itself: in the order of the dimension index, else
    of InstanceNumber, else of arrival. A key counts only where every frame has it.
    """
    distances = [frame.distance for frame in frames]
    known = [distance for distance in distances if distance is not None]
    if len(known) < len(frames):
        return [[frame] for frame in _by_numbers(frames)]
    order = sorted(range(len(frames)), key=known.__getitem__)
    clusters = _clusters([known[at] for at in order], _most_jitter(frames[0]))
    places = [_by_numbers([frames[order[at]] for at in cluster]) for cluster in clusters]
    return _in_time(places)


def _most_jitter(frame: Frame) -> float:
    return _JITTER_MM if frame.pixel_spacing is None else _JITTER * min(frame.pixel_spacing)


def _clusters(distances: Sequence[float], most: float) -> list[list[int]]:
    """Return which of the sorted distances lie at one place."""
    steps = [after - before for before, after in pairwise(distances)]
    for jitter in [*_jitters(sorted(steps), most), _SAME]:
        clusters = [[0]]
        for at, step in enumerate(steps, start=1):
            if step <= jitter:
                clusters[-1].append(at)
            else:
                clusters.append([at])
        if all(distances[cluster[-1]] - distances[cluster[0]] <= most for cluster in clusters):
            return clusters
    return [[at] for at in range(len(distances))]


def _jitters(steps: Sequence[float], most: float) -> list[float]:
    """Return the steps after which a much larger one comes, the largest first: each may be the jitter."""
    return [
        small
        for small, large in reversed(list(pairwise(steps)))
        if max(small, _SAME) <= most and large >= _STEP_TO_JITTER * max(small, _SAME)
    ][:8]


def _by_numbers(frames: Sequence[Frame]) -> list[Frame]:
    """Sort by dimension index, then by InstanceNumber; a key counts only where every frame has it.

    The sort is stable: ties stay in the order of arrival, frames of one image in the order of storage.
    """
    ordered = list(frames)
    numbers = [frame.instance.instance_number for frame in frames]
    if None not in numbers:
        ordered.sort(key=lambda frame: frame.instance.instance_number or 0)
    if all(_phase(frame, _DIMENSIONS) is not None for frame in frames):
        ordered.sort(key=lambda frame: _sortable(_phase(frame, _DIMENSIONS)))
    return ordered


def _in_time(places: list[list[Frame]]) -> list[list[Frame]]:
    """Sort the frames of each place by the keys that split every place evenly, the first key first."""
    if max(map(len, places)) == 1:
        return places
    accepted: list[int] = []
    for key in range(len(PHASE_KEYS)):
        groups = [
            list(group)
            for place in places
            for _, group in groupby(sorted(place, key=_ranks(accepted)), key=_ranks(accepted))
        ]
        if _splits_evenly([[_phase(frame, key) for frame in group] for group in groups]):
            accepted.append(key)
    return [sorted(place, key=_ranks(accepted)) for place in places]


def _ranks(keys: Sequence[int]) -> Callable[[Frame], tuple[tuple[str, object], ...]]:
    return lambda frame: tuple(_sortable(_phase(frame, key)) for key in keys)


def _splits_evenly(groups: Sequence[Sequence[Phase]]) -> bool:
    """Return whether a key splits each group into as many parts of one size.

    Where frames are lost groups have different sizes: there it is enough that all have the values of one set,
    each as often as in the largest group, or less.
    """
    if any(value is None for group in groups for value in group):
        return False
    counts = [Counter(group) for group in groups]
    whole = max(counts, key=lambda count: count.total())
    most = max(whole.values())
    if len(whole) < 2 or min(whole.values()) < most:
        return False
    if all(len(count) == len(whole) and set(count.values()) == {most} for count in counts):
        return True
    lost = len({count.total() for count in counts}) > 1
    return lost and all(set(count) <= set(whole) and max(count.values()) <= most for count in counts)


def _phase(frame: Frame, key: int) -> Phase:
    phases = frame.place.phases
    return phases[key] if key < len(phases) else None


def _sortable(value: Phase) -> tuple[str, object]:
    """Return a key to sort by: what different images say under one key may be of different types."""
    return type(value).__name__, value
