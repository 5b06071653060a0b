"""How a model is called: blocking or `async def`, and what its exceptions become."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol

from inference_gateway.errors import InvalidModelOutput, ModelFailed
from inference_gateway.execution.current_request import current_request


class Model(Protocol):
    """A callback: `model(json_input, inputs, input_hash)` → `(json, elements)` or `json`."""

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str, /) -> Any: ...


def run_to_end(function: Callable[..., Any], *args: Any) -> Any:
    """Calls `function` on a model's thread; what it returns is awaited on the event loop if it must be."""
    result = function(*args)
    if not inspect.iscoroutine(result):
        return result
    return current_request()._await(result)


def guarded(model: Callable[..., Any], *args: Any) -> Any:
    """Calls the model; whatever it raises comes as `ModelFailed` with the exception as its cause.

    Some exceptions cannot travel through a future (`StopIteration`), some would end a thread
    (`SystemExit`), and a model's own `RequestError` must not choose the answer.
    """
    try:
        return run_to_end(model, *args)
    except InvalidModelOutput:
        raise
    except BaseException as error:
        raise ModelFailed from error
