"""A whole answer, and its elements."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inference_gateway.client.temporary import TemporarySpool
from inference_gateway.extras import extra
from inference_gateway.payload.contract import AXES
from inference_gateway.payload.element import BLOCK
from inference_gateway.payload.part import Part

if TYPE_CHECKING:
    from pydicom import FileDataset


class ResultElement:
    """One element of an answer, with its entry of `parts`. Readable until the result is closed.

    What reads it blocks on the disk.
    """

    def __init__(self, part: Mapping[str, Any], body: Part) -> None:
        self.part = part
        self._body = body

    @property
    def content_type(self) -> str:
        """Its media type."""
        return self._body.content_type or ""

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self._body.size

    @property
    def file(self) -> Part:
        """Its bytes as a seekable binary file."""
        return self._body

    def read(self) -> bytes:
        """All its bytes."""
        return self._body.getvalue()

    def array(self, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        """Its bytes as a writable array of the shape that `binary_data_shape` tells.

        The shape is (timepoints, depth, height, width), as far as they are told: a mask of one image has
        (height, width). Pixels are uint8 by contract; where a model sends others, give their `dtype`. A large
        array is mapped from the spool, and stays good after the result is closed.

        Raises `ValueError` where the shape is missing or does not fit the size.
        """
        told = self.part.get("binary_data_shape")
        shape = [told[axis] for axis in AXES if axis in told] if isinstance(told, Mapping) else []
        if not shape:
            raise ValueError("this element's entry of 'parts' has no binary_data_shape: use read() or save()")
        if not all(isinstance(length, int) and length >= 0 for length in shape):
            raise ValueError("the binary_data_shape has a length that is not a whole number from 0 on")
        dtype = np.dtype(dtype)
        items = math.prod(shape)
        if self.size != items * dtype.itemsize:
            raise ValueError(
                f"{self.size} bytes do not fit the binary_data_shape, {items} items of {dtype}: "
                "give the dtype that the model sends"
            )
        return np.frombuffer(self._body.getbuffer(), dtype).reshape(shape)

    def dataset(self) -> FileDataset:
        """Return the DICOM object that it is (extra `dicom`). Raises pydicom's `InvalidDicomError`."""
        with extra("dicom", needs="reading a DICOM object"):
            from pydicom import dcmread
        self._body.seek(0)
        return dcmread(self._body)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write its bytes to `path`."""
        with Path(path).open("wb") as file:
            self._body.seek(0)
            while block := self._body.read(BLOCK):
                file.write(block)


@dataclass(frozen=True)
class InferenceResult:
    """A whole answer: `elements[i]` belongs to `json["parts"][i]`.

    `input_hash`, `output_hash`: SHA-256 hex, as the gateway has them too. `timings`: seconds of `upload`,
    `model` (until the first byte of the answer) and `download`. `faults`: how many the gateway has found in
    what its model said, and has sent all the same (docs/answers.md); its log has them. A context manager:
    closing it ends the reading of its elements.
    """

    json: Any = field(repr=False)  # a record of a patient: not for logs
    elements: list[ResultElement]
    input_hash: str
    output_hash: str
    timings: Mapping[str, float]
    _spool: TemporarySpool = field(repr=False)
    faults: int = 0

    def close(self) -> None:
        """Frees what the elements are read from."""
        self._spool.close()

    def __enter__(self) -> InferenceResult:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
