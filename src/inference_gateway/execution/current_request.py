"""What a callback may know of the request it works for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from inference_gateway.errors import RequestCancelled
from inference_gateway.telemetry.context import working_for
from inference_gateway.telemetry.identity import TraceContext, new_span_id

if TYPE_CHECKING:
    import asyncio


def _running_loop() -> asyncio.AbstractEventLoop:
    import asyncio  # here, and not above: a model's process needs it for `async def` only

    return asyncio.get_running_loop()


@dataclass(slots=True)
class CurrentRequest:
    """What a callback may know of the request it works for; get it from `current_request()`.

    `deadline` is on the clock of `time.monotonic()`, None where the model has no time limit. `cancelled`:
    nobody waits for the result any more, since the caller is gone or the time is up. `loop`: the event loop
    of the gateway, or of the model's process. `task`: of an `async` callback, while it runs there. `device`:
    such as `cuda:0`, where the route was given devices. `trace`: the place of the call in a trace, whose
    `traceparent` goes to what the callback asks by HTTP. `key`: what no other request has; its `request_id`
    may be its caller's, who may use it again.
    """

    request_id: str
    route: str
    deadline: float | None = None
    cancelled: bool = False
    device: str | None = None
    trace: TraceContext | None = None
    key: str = field(default_factory=new_span_id, repr=False)
    allocate: Callable[..., npt.NDArray[Any]] = field(default=np.zeros, repr=False)
    loop: asyncio.AbstractEventLoop = field(default_factory=_running_loop, repr=False)
    task: asyncio.Task[Any] | None = field(default=None, repr=False)
    on_cancel: Callable[[], None] | None = field(default=None, repr=False)

    def remaining(self) -> float | None:
        """Seconds left until the deadline, 0.0 when it has passed; None where there is no time limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def raise_if_cancelled(self) -> None:
        """Raise `RequestCancelled` where nobody waits any more. For model loops to stop early."""
        if self.cancelled:
            raise RequestCancelled("nobody waits for this result any more")

    def empty(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        """Return a new array of zeros for a result, C order.

        Where the model has a process of its own, an array from here goes to the gateway without a copy.
        """
        return self.allocate(shape, dtype)

    def cancel(self) -> None:
        """Nobody waits any more. Called on the event loop."""
        self.cancelled = True
        if self.on_cancel is not None:
            self.on_cancel()
        if self.task is not None:
            self.task.cancel()


@dataclass(slots=True)
class Request(CurrentRequest):
    """One request of a batch: what `current_request()` knows of it, and what a model is called with.

    `json_input`, `inputs`, `input_hash`: the three arguments of a model without batches.
    """

    json_input: Any = field(default=None, repr=False)
    inputs: list[Any] = field(default_factory=list, repr=False)
    input_hash: str = field(default="", repr=False)


def current_request() -> CurrentRequest:
    """Return the request that the calling callback works for. Raises `RuntimeError` outside a callback.

    Seen in the callback's thread, and in threads that are started with a copy of its `contextvars` context.
    """
    try:
        return cast(CurrentRequest, working_for.get())  # what a slot sets
    except LookupError:
        raise RuntimeError("current_request() works only inside a model's callback") from None
