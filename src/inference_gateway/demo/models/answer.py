"""The shape of a model's answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from inference_gateway.dicom.sources import Source

Json = dict[str, Any]
Answer = tuple[Json, list[Any]]
Model = Callable[[Any, Sequence[Source], str], Answer]


def answer(parts: Sequence[Json] = (), elements: Sequence[Any] = (), **further: Any) -> Answer:
    """Return JSON and elements of an answer: `parts[i]` describes `elements[i]`, `further` are more keys."""
    return {"protocol_version": "1.0", "parts": list(parts), **further}, list(elements)
