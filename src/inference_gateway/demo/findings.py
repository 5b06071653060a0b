"""What the embedded models look for: on CT a lesion, elsewhere the bright region.

For show, not for diagnosis. CT: voxels denser than soft tissue and softer than bone, away from bone. Anything
else: voxels over the threshold of Otsu (1979). Of these the largest connected region, if it is bigger than
noise. Frames are decoded one at a time; memory is the runs of one stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference_gateway.demo.regions import Runs, largest_region, runs_of
from inference_gateway.dicom.instances import Instance
from inference_gateway.dicom.pixels import (
    PixelDataError,
    Pixels,
    attempt_frames,
    is_hounsfield,
    modality_values,
)
from inference_gateway.dicom.series import Stack

Bool = NDArray[np.bool_]
Float = NDArray[np.float32]

# Hounsfield units: the liver ends below the first, cancellous bone begins about the second.
LESION_HU = (115.0, 260.0)

# The edge of bone passes through the lesion's range (partial volume): pixels so near to bone do not count.
_BONE_MARGIN = 3

# Smaller than the neighbourhood that is averaged: noise.
_LEAST_VOXELS = 9

# Pixels, at most, that the threshold of a stack is made from.
_SAMPLES = 1 << 20


@dataclass(frozen=True, eq=False)
class Finding:
    """The region found in a stack of frames, and its name; no runs where nothing was found.

    `seen`: the planes that were looked at. `left_out`: images with one that cannot be decoded, and why.
    """

    label: str
    depth: int
    runs: Runs
    seen: tuple[int, ...] = (0,)
    left_out: Mapping[Instance, str] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        """Whether there is a voxel in it."""
        return self.runs.voxels > 0

    def mask(self) -> NDArray[np.uint8]:
        """Return the region as uint8 of (depth, rows, columns): 255 inside, 0 outside."""
        mask = np.zeros((self.depth, self.runs.rows, self.runs.columns), dtype=np.uint8)
        for plane in self.runs.areas():
            mask[plane][self.runs.in_plane(plane)] = 255
        return mask


def find_in_stack(stack: Stack) -> Finding:
    """Return the region that stands out in a stack, connected in space.

    In a frame that cannot be decoded nothing is found.
    """
    depth, rows, columns = stack.shape
    header = next((found.header for found in attempt_frames(stack.frames) if isinstance(found, Pixels)), None)
    hounsfield = header is not None and is_hounsfield(header)
    threshold = None if hounsfield else _otsu(_samples(stack))
    seen: list[int] = []
    left_out: dict[Instance, str] = {}

    def planes() -> Iterator[Bool]:
        for at, values in enumerate(_values(stack)):
            if isinstance(values, PixelDataError):
                left_out[stack.frames[at].instance] = str(values)
                yield np.zeros((rows, columns), np.bool_)
            else:
                seen.append(at)
                yield _candidates(values, threshold)

    region = _region(runs_of(planes(), rows, columns))
    return Finding(_label(hounsfield), depth, region, tuple(seen), left_out)


def find_in_pixels(pixels: Pixels) -> Finding:
    """Return the region that stands out in one frame, whatever its neighbours show: a stack of depth 1.

    Raises `PixelDataError` where the Modality LUT is damaged.
    """
    hounsfield = is_hounsfield(pixels.header)
    values = _averaged(modality_values(pixels))
    candidates = _candidates(values, None if hounsfield else _otsu(values.ravel()))
    return Finding(_label(hounsfield), 1, _region(runs_of(iter([candidates]), *values.shape)))


def _label(hounsfield: bool) -> str:
    return "lesion" if hounsfield else "bright region"


def _region(candidates: Runs) -> Runs:
    region = largest_region(candidates)
    if region.voxels < _LEAST_VOXELS:
        region = Runs(region.rows, region.columns, region.start[:0], region.stop[:0])
    return region


def _candidates(values: Float, threshold: float | None) -> Bool:
    """Return which pixels count, those over `threshold`, or those of a lesion on CT where it is None."""
    if threshold is not None:
        return values > threshold
    low, high = LESION_HU
    return (values > low) & ~_widened(values > high, _BONE_MARGIN)


def _averaged(values: Float) -> Float:
    """Return the mean of each pixel and its eight neighbours; the edge is repeated outwards."""
    around = np.pad(values, 1, mode="edge")
    rows = around[:-2] + around[1:-1] + around[2:]
    mean: Float = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9)
    return mean


def _widened(covered: Bool, margin: int) -> Bool:
    """Return a region grown by `margin` pixels along rows, columns and diagonals."""
    for axis in (0, 1):
        grown = covered.copy()
        for step in range(1, min(margin, covered.shape[axis] - 1) + 1):
            ahead = np.moveaxis(grown, axis, 0)
            source = np.moveaxis(covered, axis, 0)
            ahead[step:] |= source[:-step]
            ahead[:-step] |= source[step:]
        covered = grown
    return covered


def _samples(stack: Stack) -> Float:
    """Return every so manieth pixel of a stack, so that there are no more than `_SAMPLES` or so."""
    step = max(1, int(np.ceil(np.sqrt(np.prod(stack.shape) / _SAMPLES))))
    seen = (values for values in _values(stack) if not isinstance(values, PixelDataError))
    return np.concatenate([np.empty(0, np.float32), *(values[::step, ::step].ravel() for values in seen)])


def _values(stack: Stack) -> Iterator[Float | PixelDataError]:
    """Yield what is looked at of each frame, or why it cannot be decoded."""
    for pixels in attempt_frames(stack.frames):
        try:
            yield pixels if isinstance(pixels, PixelDataError) else _averaged(modality_values(pixels))
        except PixelDataError as error:
            yield error


def _otsu(samples: Float) -> float:
    """Return the threshold that parts samples into two classes most unlike each other (Otsu 1979).

    Infinite where all samples are equal: nothing stands out then.
    """
    samples = samples[np.isfinite(samples)]
    if not len(samples) or samples.min() == samples.max():
        return float("inf")
    counts, edges = np.histogram(samples.astype(np.float64), bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    mean_below = sums[:-1] / below
    mean_above = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * (mean_below - mean_above) ** 2)])
