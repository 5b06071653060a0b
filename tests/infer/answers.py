"""Elements as the client gives them, made of what a model returned."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference_gateway.infer.masks import StoredMask, store_mask
from tests.dicom.objects import as_file


class Element:
    """An element of an answer: an array, a data set or bytes."""

    def __init__(self, part: Any, value: Any) -> None:
        self.part = part
        self._is_object = isinstance(value, Dataset)
        if isinstance(value, Dataset):
            self._bytes = as_file(value).getvalue()
        else:
            self._bytes = value.tobytes() if isinstance(value, np.ndarray) else bytes(value)

    @property
    def content_type(self) -> str:
        return "application/dicom" if self._is_object else "application/binary"

    @property
    def size(self) -> int:
        return len(self._bytes)

    def save(self, path: Path, /) -> None:
        path.write_bytes(self._bytes)


def told_shape(shape: Sequence[int]) -> dict[str, int]:
    """`binary_data_shape` of an array of (timepoints, depth, height, width) or its last axes."""
    return dict(zip(("timepoints", "depth", "height", "width")[-len(shape) :], shape, strict=True))


def stored(values: NDArray[Any], folder: Path, binary_type: str = "numeric_label_mask") -> StoredMask:
    """An array as a mask in a file of its own."""
    part = {"binary_type": binary_type, "binary_data_shape": told_shape(values.shape)}
    return store_mask(Element(part, values), folder / f"mask-{len(list(folder.iterdir()))}.npy")
