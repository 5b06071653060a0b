"""What a callback may know of the request it works for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, cast

from inference_gateway.errors import RequestCancelled
from inference_gateway.telemetry.context import working_for


@dataclass(slots=True)
class CurrentRequest:
    """What a callback may know of the request it works for; get it from `current_request()`.

    `deadline` is on the clock of `time.monotonic()`, None where the model has no time limit. `cancelled`:
    nobody waits for the result any more, since the caller is gone or the time is up. `loop`: the event loop
    of the gateway. `task`: of an `async` callback, while it runs there.
    """

    request_id: str
    route: str
    deadline: float | None = None
    cancelled: bool = False
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop, repr=False)
    task: asyncio.Task[Any] | None = field(default=None, repr=False)

    def remaining(self) -> float | None:
        """Seconds left until the deadline, 0.0 when it has passed; None where there is no time limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def raise_if_cancelled(self) -> None:
        """Raises `RequestCancelled` where nobody waits any more. For model loops to stop early."""
        if self.cancelled:
            raise RequestCancelled("nobody waits for this result any more")

    def cancel(self) -> None:
        """Nobody waits any more. Called by the gateway, on its event loop."""
        self.cancelled = True
        if self.task is not None:
            self.task.cancel()


def current_request() -> CurrentRequest:
    """The request that the calling callback works for. Raises `RuntimeError` outside a callback.

    Seen in the callback's thread, and in threads that are started with a copy of its `contextvars` context.
    """
    try:
        return cast(CurrentRequest, working_for.get())  # what a slot sets
    except LookupError:
        raise RuntimeError("current_request() works only inside a model's callback") from None
