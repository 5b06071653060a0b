"""One call of a model for several requests, and what becomes of each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from inference_gateway.errors import InvalidModelOutput, ModelError, ModelFailed
from inference_gateway.execution.call import guarded
from inference_gateway.execution.current_request import Request
from inference_gateway.payload.element import type_name


def call_together(
    model: Callable[[list[Request]], Any], check: Callable[[Any], Any], requests: Sequence[Request]
) -> list[Any]:
    """Call `model(requests)`; return, for each request, what `check` makes of its result, or its error.

    On the model's thread, in the batch's context. A result may be an exception: it fails that request alone,
    as one that does not fit the wire contract does. Raises `ModelFailed` where the model raises, and
    `InvalidModelOutput` where it did not return a list with a result for each.
    """
    results = guarded(model, list(requests))
    if not isinstance(results, list | tuple):
        raise InvalidModelOutput(f"the model returned a {type_name(results)}, not a list of results")
    if len(results) != len(requests):
        raise InvalidModelOutput(f"the model returned {len(results)} results for {len(requests)} requests")
    return [_checked(check, result) for result in results]


def _checked(check: Callable[[Any], Any], result: Any) -> Any:
    if isinstance(result, BaseException):
        failed = ModelFailed()
        failed.__cause__ = result
        return failed
    try:
        return guarded(check, result)
    except ModelError as error:
        return error
