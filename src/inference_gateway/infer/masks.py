"""Masks of an answer → .npy files of their shape, read again plane by plane.

A mask may be as large as the study: it goes from the answer to the file in blocks, and one plane at a time is
in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference_gateway.payload.contract import AXES

# What an item of so many bytes is; the contract has one byte.
_LABELS = {1: "|u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_SHARES = {1: "|u1", 2: "<f2", 4: "<f4", 8: "<f8"}


class Element(Protocol):
    """What is asked of an element of an answer; the client's elements have it."""

    @property
    def part(self) -> Any:
        """Return its entry in `parts` of the answer's JSON."""
        ...

    @property
    def content_type(self) -> str:
        """Return its media type."""
        ...

    @property
    def size(self) -> int:
        """Return its size in bytes."""
        ...

    def save(self, path: Path, /) -> object:
        """Write its bytes to `path`."""
        ...


@dataclass(frozen=True, slots=True)
class StoredMask:
    """A mask in a .npy file; `shape` is (timepoints, depth, height, width), as far as it has these axes.

    `greatest`: its greatest value where that is a byte, None of another type.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    greatest: int | None = None

    @property
    def volume(self) -> tuple[int, int, int, int]:
        """Its shape with all four axes."""
        timepoints, depth, height, width = (1,) * (4 - len(self.shape)) + self.shape
        return timepoints, depth, height, width

    def plane(self, at: int) -> NDArray[Any]:
        """Read one plane, (height, width), counted over all timepoints."""
        height, width = self.shape[-2:]
        size = height * width
        with open(self.path, "rb") as file:
            file.seek(self.offset + at * size * self.dtype.itemsize)
            return np.fromfile(file, self.dtype, size).reshape(height, width)


def store_mask(element: Element, path: Path) -> StoredMask:
    """Write a mask as .npy file.

    Its items are uint8; where the element has 2, 4 or 8 times as many bytes, floats for probabilities and
    heat, unsigned integers for labels. Raises `ValueError`, which quotes nothing, where `binary_data_shape`
    is missing or does not fit the element's size.
    """
    shape = _shape(element.part)
    items = prod(shape)
    types = _SHARES if element.part.get("binary_type") in ("probability_mask", "heatmap") else _LABELS
    if not items or element.size % items or element.size // items not in types:
        raise ValueError(
            f"its binary_data_shape of {' x '.join(map(str, shape))} does not fit its {element.size:,} bytes"
        )
    dtype = np.dtype(types[element.size // items])
    raw = path.with_suffix(".raw")
    element.save(raw)
    with path.open("wb") as file, raw.open("rb") as body:
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        offset = file.tell()
        greatest = 0
        while block := body.read(1 << 20):
            file.write(block)
            greatest = max(greatest, int(np.frombuffer(block, np.uint8).max()))
    raw.unlink()
    return StoredMask(str(path), shape, dtype, offset, greatest if dtype == np.uint8 else None)


def _shape(part: Mapping[str, Any]) -> tuple[int, ...]:
    told = part.get("binary_data_shape")
    if not isinstance(told, Mapping) or not {"height", "width"} <= set(told):
        raise ValueError("its entry of 'parts' has no binary_data_shape with height and width")
    shape = [told[axis] for axis in AXES if axis in told]
    if not all(isinstance(length, int) and 0 < length < 1 << 31 for length in shape):
        raise ValueError("its binary_data_shape has a length that is no positive number")
    return tuple(shape)
