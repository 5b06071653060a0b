"""Masks as files: what numpy reads, and plane by plane."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway.infer.masks import store_mask
from tests.infer.answers import Element, stored, told_shape


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (4, 2, 3, 5)])
@pytest.mark.parametrize(
    ("binary_type", "dtype"),
    [
        ("probability_mask", np.uint8),
        ("probability_mask", np.float32),
        ("heatmap", np.float64),
        ("heatmap", np.float16),
        ("boolean_mask", np.uint8),
        ("numeric_label_mask", np.uint16),
        ("numeric_label_mask", np.uint32),
    ],
)
def test_a_mask_is_read_back_whole_and_by_planes(
    shape: tuple[int, ...], binary_type: str, dtype: Any, tmp_path: Path
) -> None:
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    mask = stored(values, tmp_path, binary_type)
    loaded = np.load(mask.path)
    assert loaded.dtype == values.dtype
    assert np.array_equal(loaded, values)
    planes = values.reshape(-1, 3, 5)
    assert all(np.array_equal(mask.plane(at), plane) for at, plane in enumerate(planes))
    assert mask.volume == (1,) * (4 - len(shape)) + shape
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]


def test_a_large_mask_is_never_in_memory(tmp_path: Path) -> None:
    class OnDisk(Element):
        """An element of 64 MiB of zeros."""

        size = 64 << 20

        def save(self, path: Path, /) -> None:
            with path.open("wb") as file:
                file.truncate(self.size)

    part = {"binary_type": "boolean_mask", "binary_data_shape": told_shape((64, 1024, 1024))}
    tracemalloc.start()
    try:
        mask = store_mask(OnDisk(part, b""), tmp_path / "mask.npy")
        assert not mask.plane(63).any()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        (None, "no binary_data_shape"),
        ("5 x 5", "no binary_data_shape"),
        ({"height": 5}, "no binary_data_shape"),
        ({"height": 5, "width": "5"}, "no positive number"),
        ({"height": 5, "width": 0}, "no positive number"),
        ({"height": -5, "width": -5}, "no positive number"),
        ({"height": 5.0, "width": 5}, "no positive number"),
        ({"height": 1 << 40, "width": 5}, "no positive number"),
        ({"height": 5, "width": 6}, "does not fit its 25 bytes"),
        ({"height": 5, "width": 1}, "does not fit its 25 bytes"),
        ({"height": 1 << 30, "width": 1 << 30, "depth": 1 << 30}, "does not fit its 25 bytes"),
    ],
)
def test_a_shape_that_is_wrong_is_refused(shape: Any, why: str, tmp_path: Path) -> None:
    part = {"binary_type": "boolean_mask", "binary_data_shape": shape}
    with pytest.raises(ValueError, match=why):
        store_mask(Element(part, bytes(25)), tmp_path / "mask.npy")
    assert list(tmp_path.iterdir()) == []
