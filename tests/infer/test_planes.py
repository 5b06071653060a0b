"""Numbers of 16 bits in pictures of 8, and smaller pictures of large ones."""

import numpy as np
import pytest

from inference_gateway.infer.planes import smaller, strongest, two_bytes


@pytest.mark.parametrize(
    "values", [[-1024, 3071, 5], [0.5, 0.25, 7], [np.nan, 1, 2], [np.inf, 1, 2], [7, 7, 7]]
)
def test_values_come_back_as_near_as_16_bits_go(values: list[float]) -> None:
    array = np.array([values], np.float32)
    image, low, step = two_bytes(array)
    assert image.dtype == np.uint8
    assert image.shape == (1, 3, 3)
    found = low + step * (image[..., 0].astype(float) * 256 + image[..., 1])
    finite = np.isfinite(array)
    assert np.abs(found - array)[finite].max() <= step / 2 + 1e-6


def test_blocks_become_their_mean_and_of_a_layer_what_is_most_there() -> None:
    assert smaller(np.arange(16).reshape(4, 4).astype(np.float32), 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert smaller(np.zeros((5, 7, 3), np.uint8), 2).shape == (3, 4, 3)
    layer = np.zeros((4, 4, 4), np.uint8)
    layer[1, 2] = (9, 8, 7, 255)
    assert strongest(layer, 2)[0, 1].tolist() == [9, 8, 7, 255]
    assert strongest(layer, 1) is layer
