"""Pictures of the phantom, worked out without `overlay` and `pixels`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.overlay import COLORS
from tests.demo.study import PHANTOM

ZOOM = 4  # 128 pixels become 512


def grey(at: int) -> NDArray[np.int64]:
    """A plane of the phantom in its own window, 40 and 400 (PS3.3 C.11.2.1.2.1), as RGB."""
    hounsfield = PHANTOM.stored[at].astype(np.float64) - 1024
    shown = np.clip((hounsfield - 39.5) / 399 + 0.5, 0, 1) * 255
    rounded: NDArray[np.int64] = np.floor(shown + 0.5).astype(np.int64)[..., None].repeat(3, axis=2)
    return rounded


def large(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.kron(pixels, np.ones((ZOOM, ZOOM) + (1,) * (pixels.ndim - 2), pixels.dtype))


def tinted(base: NDArray[np.int64], covered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A mask over an image: 0.35 of the first colour within, all of it on the pixels at its edge."""
    canvas = large(base)
    inside = large(covered)
    canvas[inside] = np.rint(0.65 * canvas[inside] + 0.35 * np.array(COLORS[0]))
    for y, x in zip(*np.nonzero(inside), strict=True):
        near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        if not all(0 <= v < 512 and 0 <= u < 512 and inside[v, u] for v, u in near):
            canvas[y, x] = COLORS[0]
    return canvas
