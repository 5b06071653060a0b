"""The shape of a model's answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from inference_gateway.demo.models.left_out import LeftOut
from inference_gateway.dicom.sources import Source

Json = dict[str, Any]
Answer = tuple[Json, list[Any]]
Model = Callable[[Any, Sequence[Source], str], Answer]


def answer(
    left_out: LeftOut, parts: Sequence[Json] = (), elements: Sequence[Any] = (), **further: Any
) -> Answer:
    """Return JSON and elements of an answer: `parts[i]` describes `elements[i]`, `further` are more keys.

    `left_out`: what the model has not looked at.
    """
    told = {"dicomConformance": left_out.sentences} if left_out.sentences else {}
    return {"protocol_version": "1.0", "parts": list(parts), **further, **told}, list(elements)
