"""Runs and regions against a flood fill that visits one voxel after the other."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference_gateway.demo.regions import Runs, largest_region, runs_of

Bool = NDArray[np.bool_]


def runs(volume: Bool) -> Runs:
    return runs_of(iter(volume), *volume.shape[1:])


def volume_of(found: Runs, depth: int) -> Bool:
    return np.stack([found.in_plane(plane) for plane in range(depth)])


def flooded(volume: Bool) -> list[Bool]:
    """All regions of six-connected voxels, in the order of their first voxels."""
    left = volume.copy()
    regions = []
    while left.any():
        region = np.zeros_like(volume)
        pending = [tuple(np.argwhere(left)[0])]
        while pending:
            at = pending.pop()
            if any(not 0 <= one < size for one, size in zip(at, volume.shape, strict=True)) or not left[at]:
                continue
            left[at], region[at] = False, True
            z, y, x = at
            pending += [
                (z - 1, y, x),
                (z + 1, y, x),
                (z, y - 1, x),
                (z, y + 1, x),
                (z, y, x - 1),
                (z, y, x + 1),
            ]
        regions.append(region)
    return regions


@st.composite
def volumes(draw: st.DrawFn) -> Bool:
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    bits = draw(st.lists(st.booleans(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return np.array(bits).reshape(shape)


@given(volumes())
def test_runs_hold_the_volume(volume: Bool) -> None:
    found = runs(volume)
    assert np.array_equal(volume_of(found, len(volume)), volume)
    assert found.voxels == volume.sum()
    assert found.areas() == {at: int(plane.sum()) for at, plane in enumerate(volume) if plane.any()}


@given(volumes())
def test_the_largest_region_is_that_of_a_flood_fill(volume: Bool) -> None:
    found = volume_of(largest_region(runs(volume)), len(volume))
    regions = flooded(volume)
    if not regions:
        assert not found.any()
        return
    largest = max(regions, key=lambda region: int(region.sum()))  # the first of equals
    assert np.array_equal(found, largest)


@given(volumes())
def test_boxes_enclose_each_plane_tightly(volume: Bool) -> None:
    expected = {}
    for at, plane in enumerate(volume):
        rows, columns = np.nonzero(plane)
        if len(rows):
            expected[at] = (columns.min(), rows.min(), columns.max(), rows.max())
    assert dict(runs(volume).boxes()) == expected


def serpent(size: int) -> Iterator[Bool]:
    """One long path through every plane: rows joined at alternating ends, planes at one corner."""
    for at in range(size):
        plane = np.zeros((size, size), bool)
        plane[::2] = at % 2 == 0
        plane[1::4, -1] = plane[3::4, 0] = at % 2 == 0
        plane[0, 0] = True
        yield plane


def comb(size: int) -> Iterator[Bool]:
    """Teeth that meet in the last row only."""
    plane = np.zeros((size, size), bool)
    plane[:, ::2] = True
    plane[-1] = True
    yield plane


@pytest.mark.parametrize("shape", [serpent, comb, lambda size: (plane[::-1] for plane in comb(size))])
def test_shapes_that_are_far_around_are_one(shape: object) -> None:
    assert callable(shape)
    volume = np.stack(list(shape(33)))
    assert largest_region(runs(volume)).voxels == volume.sum()


def test_neighbours_do_not_wrap_around_the_edges() -> None:
    volume = np.zeros((2, 3, 3), bool)
    volume[0, 0, 2] = volume[0, 1, 0] = volume[0, 2, 2] = volume[1, 0, 0] = volume[1, 0, 1] = True
    assert largest_region(runs(volume)).voxels == 2


def test_a_volume_of_nothing_has_no_region() -> None:
    found = largest_region(runs(np.zeros((2, 3, 4), bool)))
    assert found.voxels == 0
    assert found.areas() == {}
    assert list(found.boxes()) == []
    assert not found.in_plane(1).any()
