"""The functions of the value of interest, as the standard writes them."""

import math


def linear(value: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1, word for word, from 0 to 255."""
    if value <= center - 0.5 - (width - 1) / 2:
        return 0.0
    if value > center - 0.5 + (width - 1) / 2:
        return 255.0
    return ((value - (center - 0.5)) / (width - 1) + 0.5) * 255.0


def linear_exact(value: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    if value <= center - width / 2:
        return 0.0
    return 255.0 if value > center + width / 2 else ((value - center) / width + 0.5) * 255.0


def sigmoid(value: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    return 255.0 / (1.0 + math.exp(-4.0 * (value - center) / width))
