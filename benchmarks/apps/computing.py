"""A model that never lets go of the GIL of its own accord."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
    """About a second of pure Python."""
    total = 0
    for number in range(10_000_000):
        total ^= number
    return {"total": total}
