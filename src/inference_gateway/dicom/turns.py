"""The rotation and flip of a presentation state (PS3.3 C.10.6), of arrays and of points in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference_gateway.dicom.shapes import Point


class Turn(NamedTuple):
    """So many quarters of a turn clockwise, then a flip from left to right."""

    quarters: int = 0
    flipped: bool = False

    def array(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return an array of (rows, columns) or (rows, columns, samples) as it is shown."""
        turned = np.rot90(pixels, -self.quarters)
        return turned[:, ::-1] if self.flipped else turned

    def point(self, point: Point, rows: int, columns: int) -> Point:
        """Return where (x, y), by the middles of pixels of an image of that size, is shown."""
        x, y = point
        for _ in range(self.quarters):
            x, y = rows - 1 - y, x
            rows, columns = columns, rows
        return (columns - 1 - x if self.flipped else x), y

    def share(self, shown: Point) -> Point:
        """Return which point of an image is shown at a point: both as shares of width and height."""
        x, y = shown
        x = 1.0 - x if self.flipped else x
        for _ in range(self.quarters):
            x, y = y, 1.0 - x
        return x, y

    def aspect(self, aspect: float) -> float:
        """Return the height of a pixel by its width as it is shown."""
        return 1.0 / aspect if self.quarters % 2 else aspect


AS_STORED = Turn()
"""No turn at all."""
