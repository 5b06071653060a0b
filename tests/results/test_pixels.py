"""The contract's uint8, of what a model computes."""

import numpy as np
import pytest

from inference_gateway.results import from_bool, from_probability


def test_yes_is_255() -> None:
    made = from_bool(np.array([[True, False], [False, True]]))
    assert made.dtype == np.uint8
    assert made.tolist() == [[255, 0], [0, 255]]
    assert from_bool([True]).tolist() == [255]


@pytest.mark.parametrize("value", [np.zeros(3, np.uint8), np.zeros(3), [0, 1]])
def test_only_bool_is_yes_and_no(value: object) -> None:
    with pytest.raises(TypeError, match="takes a bool array"):
        from_bool(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_is_255(dtype: type) -> None:
    made = from_probability(np.array([[0.0, 0.5, 1.0], [0.002, 0.25, 0.999]], dtype))
    assert made.dtype == np.uint8
    assert made.tolist() == [[0, 128, 255], [1, 64, 255]]


def test_every_value_of_a_large_array_that_does_not_lie_in_one_piece() -> None:
    values = np.linspace(0, 1, 3 << 20).reshape(3, -1).T
    assert np.array_equal(from_probability(values), np.rint(values * 255.0).astype(np.uint8))
    assert from_probability(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, np.nan, np.inf])
def test_what_is_no_probability(value: float) -> None:
    with pytest.raises(ValueError, match=r"from 0\.0 to 1\.0"):
        from_probability(np.array([0.5, value]))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, complex])
def test_only_floats_are_probabilities(dtype: type) -> None:
    with pytest.raises(TypeError, match=f"this is {np.dtype(dtype)}"):
        from_probability(np.zeros(3, dtype))
