"""A plane of a study → arrays that a page can hold: 16 bits in a picture of 8, and smaller ones of large."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def two_bytes(values: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float, float]:
    """Return values as numbers of 16 bits in red and green, uint8 of (rows, columns, 3), with scale.

    Value = low + step * number, exact for whole numbers in a range of 65536.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    whole = high - low <= 65535 and bool((finite == np.rint(finite)).all())
    step = 1.0 if whole else (high - low) / 65535
    del finite
    kept = values.astype(np.float64)  # one such array, not one for each step
    np.nan_to_num(kept, copy=False, nan=low)
    np.clip(kept, low, high, out=kept)
    kept -= low
    kept /= step
    numbers = np.rint(kept, out=kept).astype(np.uint16)
    image = np.zeros((*values.shape, 3), np.uint8)
    image[..., 0] = numbers >> 8
    image[..., 1] = numbers & 255
    return image, low, step


def _blocks(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return (rows, columns, side * side, samples) of an image whose edge is repeated to fill blocks."""
    rows, columns = image.shape[:2]
    samples = image.reshape(rows, columns, -1)
    padded = np.pad(samples, ((0, -rows % side), (0, -columns % side), (0, 0)), mode="edge")
    shape = (padded.shape[0] // side, side, padded.shape[1] // side, side, samples.shape[2])
    blocks = padded.reshape(shape).swapaxes(1, 2)
    return blocks.reshape(shape[0], shape[2], side * side, shape[4])


def smaller(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the means of blocks of an image, of the same type and number of axes."""
    if side == 1:
        return image
    means: NDArray[Any] = _blocks(image, side).mean(axis=2)
    if image.dtype == np.uint8:
        means = np.rint(means)
    smaller: NDArray[Any] = means.astype(image.dtype).reshape(*means.shape[:2], *image.shape[2:])
    return smaller


def strongest(layer: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return of each block the pixel with most alpha, so that nothing found is lost."""
    if side == 1:
        return layer
    blocks = _blocks(layer, side)
    at = blocks[..., 3].argmax(axis=2)[..., None, None]
    return np.ascontiguousarray(np.take_along_axis(blocks, at, axis=2)[:, :, 0])
