"""Callbacks that a model process imports."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom

from inference_gateway import Refused, Request
from inference_gateway.results import Answer, from_bool
from tests.results.wrong import WRONG, model_of


def in_per_cent(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    return model_of(WRONG["a threshold in per cent"].change)(json_input, inputs, input_hash)


def built(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Answer:
    """A mask for each image, by the builder."""
    answer = Answer()
    for part in inputs:
        image = pydicom.dcmread(part)
        answer.mask(from_bool(image.pixel_array > 0), image, label="something")
    return answer


def refusing_in_batches(requests: list[Request]) -> list[Any]:
    """Refuse each request by itself."""
    return [Refused(request.json_input["sentence"]) for request in requests]


def refusing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """Refuse what it is asked to, and how."""
    if json_input.get("setup"):
        return np.zeros(3)
    raise Refused(json_input["sentence"], status=json_input.get("status", 422))
