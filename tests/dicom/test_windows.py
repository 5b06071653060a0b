"""From modality values to what is shown, against the formulas of the standard."""

from collections.abc import Callable

import numpy as np
import pytest

from inference_gateway.dicom.pixels import (
    Window,
    apply_window,
)
from tests.dicom.formulas import linear, linear_exact, sigmoid


@pytest.mark.parametrize(
    ("center", "width"), [(40.0, 400.0), (-600.0, 1500.0), (0.5, 1.0), (2048.0, 4096.0), (3, 2)]
)
@pytest.mark.parametrize(
    ("function", "formula"), [("LINEAR", linear), ("LINEAR_EXACT", linear_exact), ("SIGMOID", sigmoid)]
)
def test_windows_follow_the_standard(
    function: str, formula: Callable[[float, float, float], float], center: float, width: float
) -> None:
    values = [float(center) + step * width / 16 for step in range(-12, 13)]
    shown = apply_window(np.array(values, np.float32), Window(center, width, function))  # type: ignore[arg-type]  # one of the three
    expected = [formula(value, center, width) for value in values]
    assert shown.dtype == np.uint8
    assert np.abs(shown - np.array(expected)).max() <= 0.51


def test_values_that_are_no_numbers_can_be_shown() -> None:
    values = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert apply_window(values, Window(0, 10, "LINEAR_EXACT")).tolist() == [128, 255, 0]
    assert apply_window(values, Window(0, 10, "SIGMOID")).tolist() == [128, 255, 0]
