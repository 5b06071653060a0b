"""What a callback may know of the request it works for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from inference_gateway.errors import RequestCancelled
from inference_gateway.execution.job import T, that_travels
from inference_gateway.telemetry.context import working_for


@dataclass(slots=True)
class CurrentRequest:
    """What a callback may know of the request it works for; get it from `current_request()`.

    `deadline` is on the clock of `time.monotonic()`, None where the model has no time limit.
    """

    request_id: str
    route: str
    deadline: float | None = None
    _cancelled: bool = field(default=False, repr=False)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop, repr=False)
    _task: asyncio.Task[Any] | None = field(default=None, repr=False)

    def remaining(self) -> float | None:
        """Seconds left until the deadline, 0.0 when it has passed; None where there is no time limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more: the caller is gone or the time is up."""
        return self._cancelled

    def raise_if_cancelled(self) -> None:
        """Raises `RequestCancelled` where nobody waits any more. For model loops to stop early."""
        if self.cancelled:
            raise RequestCancelled("nobody waits for this result any more")

    def _cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _await(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs an async callback on the event loop, while its thread waits until it has really ended."""
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def tell(task: asyncio.Task[Any]) -> None:
            error = RequestCancelled("cancelled") if task.cancelled() else task.exception()
            outcome.set_exception(error) if error else outcome.set_result(task.result())

        def start() -> None:
            self._task = self._loop.create_task(_contained(coroutine))
            self._task.add_done_callback(tell)
            if self._cancelled:
                self._task.cancel()

        self._loop.call_soon_threadsafe(start)
        return outcome.result()


async def _contained(coroutine: Coroutine[Any, Any, T]) -> T:
    """What would end the event loop comes as an ordinary exception."""
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise that_travels(error) from error


def current_request() -> CurrentRequest:
    """The request that the calling callback works for. Raises `RuntimeError` outside a callback.

    Seen in the callback's thread, and in threads that are started with a copy of its `contextvars` context.
    """
    try:
        return cast(CurrentRequest, working_for.get())  # what a slot sets
    except LookupError:
        raise RuntimeError("current_request() works only inside a model's callback") from None
