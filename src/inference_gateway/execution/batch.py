"""One call of a model for several requests, and what becomes of each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from inference_gateway.errors import InvalidModelOutput, ModelError, ModelFailed, Refused
from inference_gateway.execution.call import guarded
from inference_gateway.execution.current_request import Request
from inference_gateway.payload.element import type_name


def call_together(
    model: Callable[[list[Request]], Any],
    check: Callable[[Any, Sequence[Any]], Any],
    requests: Sequence[Request],
) -> list[Any]:
    """Call `model(requests)`; return, for each request, what `check` makes of its result, or its error.

    On the model's thread, in the batch's context. A result may be an exception: it fails that request alone,
    as one that does not fit the wire contract does. Raises `ModelFailed` where the model raises, and
    `InvalidModelOutput` where it did not return a list with a result for each.
    """
    inputs = [tuple(request.inputs) for request in requests]  # what the model does with them is its business
    results = guarded(model, list(requests))
    if not isinstance(results, list | tuple):
        raise InvalidModelOutput(f"the model returned a {type_name(results)}, not a list of results")
    if len(results) != len(requests):
        raise InvalidModelOutput(f"the model returned {len(results)} results for {len(requests)} requests")
    return [_checked(check, *each) for each in zip(results, inputs, strict=True)]


def _checked(check: Callable[[Any, Sequence[Any]], Any], result: Any, inputs: Sequence[Any]) -> Any:
    if isinstance(result, Refused):
        return result
    if isinstance(result, BaseException):
        failed = ModelFailed()
        failed.__cause__ = result
        return failed
    try:
        return guarded(check, result, inputs)
    except (ModelError, Refused) as error:
        return error
