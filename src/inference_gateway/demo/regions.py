"""Connected regions of a volume, found plane by plane without holding the volume.

A plane of booleans becomes runs (stretches of True along a row). Runs lie on one line: every row has one
False pixel behind it and every plane one False row, so that a step to the next row or plane is a constant and
never wraps. Runs that touch along a side (six neighbours in space) are joined by hooking roots and pointer
jumping, all in arrays. Costs 16 bytes per run that is kept, some five times that while regions are joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of a volume of `rows` by `columns`: half-open, in order, as offsets on the line."""

    rows: int
    columns: int
    start: Int
    stop: Int

    @property
    def voxels(self) -> int:
        """Voxels in all runs together."""
        return int((self.stop - self.start).sum())

    @property
    def row_step(self) -> int:
        """Return by how much an offset grows with each row: no two rows touch."""
        return self.columns + 1

    @property
    def plane_step(self) -> int:
        """Return by how much an offset grows with each plane: no two planes touch."""
        return (self.rows + 1) * self.row_step

    def areas(self) -> dict[int, int]:
        """Return the number of voxels in each plane that has one."""
        plane = self.start // self.plane_step
        counts = np.bincount(plane, weights=self.stop - self.start)
        return {int(at): int(counts[at]) for at in np.unique(plane)}

    def in_plane(self, plane: int) -> Bool:
        """Return one plane as booleans, (rows, columns)."""
        first, last = np.searchsorted(self.start, (plane * self.plane_step, (plane + 1) * self.plane_step))
        change = np.zeros(self.plane_step, dtype=np.int8)
        change[self.start[first:last] - plane * self.plane_step] += 1
        change[self.stop[first:last] - plane * self.plane_step] -= 1
        covered = np.cumsum(change, dtype=np.int8).astype(np.bool_)
        return covered.reshape(self.rows + 1, self.row_step)[: self.rows, : self.columns]

    def boxes(self) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
        """Yield (plane, (left, top, right, bottom)) for each plane that has a voxel; corners are inside."""
        plane, within = np.divmod(self.start, self.plane_step)
        row, left = np.divmod(within, self.row_step)
        right = left + (self.stop - self.start) - 1
        for at in np.unique(plane):
            here = plane == at
            corners = left[here].min(), row[here].min(), right[here].max(), row[here].max()
            yield int(at), (int(corners[0]), int(corners[1]), int(corners[2]), int(corners[3]))


def runs_of(planes: Iterator[Bool], rows: int, columns: int) -> Runs:
    """Return the runs of the planes of a volume, booleans of (rows, columns) each."""
    empty = Runs(rows, columns, np.empty(0, np.int64), np.empty(0, np.int64))
    starts, stops = [empty.start], [empty.stop]
    for at, plane in enumerate(planes):
        line = np.zeros((rows, columns + 1), dtype=np.int8)
        line[:, :columns] = plane
        change = np.diff(line.ravel(), prepend=np.int8(0))
        starts.append(np.flatnonzero(change == 1) + at * empty.plane_step)
        stops.append(np.flatnonzero(change == -1) + at * empty.plane_step)
    return Runs(rows, columns, np.concatenate(starts), np.concatenate(stops))


def largest_region(runs: Runs) -> Runs:
    """Return the runs of the connected region with most voxels, no runs where there are none."""
    if not len(runs.start):
        return runs
    labels = _labels(runs)
    sizes = np.bincount(labels, weights=runs.stop - runs.start)
    chosen = labels == sizes.argmax()
    return Runs(runs.rows, runs.columns, runs.start[chosen], runs.stop[chosen])


def _labels(runs: Runs) -> Int:
    """Return for each run the lowest number of a run in its region.

    Each round hooks every root to the lowest root that it touches, then flattens the trees. Labels only fall,
    so there are no cycles; rounds grow with the square of the logarithm of runs at worst (Liu, Tarjan 2019).
    """
    labels = np.arange(len(runs.start))
    one, other = _touching(runs)
    while len(one):
        low = np.minimum(labels[one], labels[other])
        high = np.maximum(labels[one], labels[other])
        apart = low != high
        one, other = one[apart], other[apart]
        np.minimum.at(labels, high[apart], low[apart])
        while True:
            jumped = labels[labels]
            if np.array_equal(jumped, labels):
                break
            labels = jumped
    return labels


def _touching(runs: Runs) -> tuple[Int, Int]:
    """Return the pairs of runs that touch in the next row or in the next plane."""
    ones, others = [], []
    for step in (runs.row_step, runs.plane_step):
        first = np.searchsorted(runs.stop, runs.start + step, side="right")
        last = np.searchsorted(runs.start, runs.stop + step, side="left")
        count = np.maximum(last - first, 0)
        one = np.repeat(np.arange(len(count)), count)
        before = np.cumsum(count) - count
        ones.append(one)
        others.append(np.arange(len(one)) - before[one] + first[one])
    return np.concatenate(ones), np.concatenate(others)
