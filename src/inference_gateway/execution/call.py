"""How a model is called: blocking or `async def`, and what its exceptions become."""

from __future__ import annotations

import inspect
import queue
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from inference_gateway.errors import InvalidModelOutput, ModelCrashed, ModelFailed, Refused, RequestCancelled
from inference_gateway.execution.current_request import CurrentRequest, current_request
from inference_gateway.execution.job import that_travels

if TYPE_CHECKING:
    import asyncio


class Model(Protocol):
    """A callback: `model(json_input, inputs, input_hash)` → `(json, elements)` or `json`."""

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str, /) -> Any:
        """Return the result for one study."""
        ...


def run_to_end(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function` on a model's thread; what it returns is awaited on the event loop if it must be."""
    result = function(*args)
    if not inspect.iscoroutine(result):
        return result
    return _await_on_loop(result, current_request())


def guarded(model: Callable[..., Any], *args: Any) -> Any:
    """Call the model; whatever it raises but `Refused` comes as `ModelFailed`, the exception as its cause.

    Some exceptions cannot travel through a future (`StopIteration`), some would end a thread
    (`SystemExit`), and a model's own `RequestError` must not choose the answer.
    """
    try:
        return run_to_end(model, *args)
    except (InvalidModelOutput, ModelCrashed, Refused):
        raise
    except BaseException as error:
        raise ModelFailed from error


def _await_on_loop(coroutine: Coroutine[Any, Any, Any], request: CurrentRequest) -> Any:
    """Run an async callback on the event loop, while its thread waits until it has really ended."""
    import asyncio  # here, and not above: a model's process needs it for `async def` only

    ended: queue.SimpleQueue[asyncio.Task[Any]] = queue.SimpleQueue()

    def start() -> None:
        request.task = request.loop.create_task(_contained(coroutine))
        request.task.add_done_callback(ended.put)
        if request.cancelled:
            request.task.cancel()

    request.loop.call_soon_threadsafe(start)
    task = ended.get()
    request.task = None
    try:
        return task.result()
    except asyncio.CancelledError:
        raise RequestCancelled("cancelled") from None
    finally:
        del task  # has the exception, whose traceback leads here: only the collector would find them


async def _contained(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Make an ordinary exception of what would end the event loop."""
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise that_travels(error) from error
