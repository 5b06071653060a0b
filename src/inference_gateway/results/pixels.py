"""From what a model computes to the contract's uint8: said by the author, never guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK = 1 << 20  # values that are converted at once: no second array of floats


def from_bool(values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Return a mask of yes and no as uint8 of the same shape: 255 for True, 0 for False.

    `values`: bool of any shape. Good for `Answer.mask` and `Answer.probability`. Raises `TypeError` for
    another dtype.
    """
    array = np.asarray(values)
    if array.dtype != np.bool_:
        raise TypeError(
            f"from_bool takes a bool array, and this is {array.dtype}: compare first, as in values > 0"
        )
    return array.view(np.uint8) * np.uint8(255)


def from_probability(values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Return probabilities as uint8 of the same shape: 0.0 becomes 0, 1.0 becomes 255, rounded between.

    `values`: float of any shape, from 0.0 to 1.0. Good for `Answer.probability` and `Answer.heatmap`. Raises
    `TypeError` for another dtype, `ValueError` where a value is below 0.0, over 1.0 or NaN.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f":
        raise TypeError(
            f"from_probability takes floats from 0.0 to 1.0, and this is {array.dtype}: from_bool is for "
            "bool, and uint8 needs neither"
        )
    flat = np.ascontiguousarray(array).reshape(-1)
    made = np.empty(flat.size, np.uint8)
    for start in range(0, flat.size, _BLOCK):
        block: Any = flat[start : start + _BLOCK]
        if not (block.min() >= 0.0 and block.max() <= 1.0):  # NaN compares false
            raise ValueError(
                "from_probability takes values from 0.0 to 1.0: apply a sigmoid or a softmax first"
            )
        made[start : start + _BLOCK] = np.rint(block * 255.0)
    return made.reshape(array.shape)
