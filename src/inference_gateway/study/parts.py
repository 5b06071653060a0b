"""A mask → the entry of `parts` that describes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.results.sources import described
from inference_gateway.study.images import Image
from inference_gateway.study.series import Series
from inference_gateway.study.volume import Volume


def mask_part(
    source: Series | Volume | Image,
    mask: NDArray[np.uint8],
    *,
    binary_type: str = "probability_mask",
    **further: Any,
) -> dict[str, Any]:
    """Return the entry of `parts` for a mask: its shape, and the UIDs of what it lies over.

    `mask`: uint8 of (rows, columns) over an image, of (depth, rows, columns) over a volume or a series, or of
    (timepoints, depth, rows, columns) over a series; element of the answer at the same place as the entry.
    `further` are more keys, such as `label`. Raises `ValueError` where the mask is of another type or shape.
    """
    if mask.dtype != np.uint8:
        raise ValueError(f"a mask is uint8, and this one is {mask.dtype}: 0 to 255 for 0.0 to 1.0, or labels")
    return {"binary_type": binary_type, **described(source, mask.shape), **further}
