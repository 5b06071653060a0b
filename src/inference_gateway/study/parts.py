"""A mask → the entry of `parts` that describes it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.study.images import Image
from inference_gateway.study.series import Series
from inference_gateway.study.volume import Volume

_AXES = ("timepoints", "depth", "height", "width")


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
    wanted: tuple[int, ...]
    axes: tuple[str, ...]
    named: dict[str, Any]
    if isinstance(source, Image):
        wanted, axes, named = source.shape, _AXES[2:], {"dicom_image": source.reference}
    else:
        wanted, axes = (source.timepoints, *source.shape), _AXES
        named = {"SeriesInstanceUID": source.series_instance_uid}
        mask = mask[None] if mask.ndim == 3 and source.timepoints == 1 else mask
    if mask.shape != wanted:
        raise ValueError(f"a mask of {_written(mask.shape)} over {_written(wanted)}: {', '.join(axes)}")
    shape = dict(zip(axes, map(int, mask.shape), strict=True))
    return {"binary_type": binary_type, "binary_data_shape": shape, **named, **further}


def _written(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
