"""A slot: one request's turn on a thread of its model."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any

from inference_gateway.errors import ModelTimeout, Unavailable
from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.job import Job, T
from inference_gateway.execution.line import Line
from inference_gateway.telemetry.context import working_for
from inference_gateway.telemetry.stacks import stack_of_coroutine, stack_of_thread


class Slot:
    """One request's turn on a thread of its model: from its first call until `release`.

    `line`: whose turn it is. `queue_timeout`, `timeout`: seconds of waiting for the turn, and of the turn, or
    None. `on_start` is called on the thread when the turn begins. `started`: when that was, by
    `time.monotonic()`.
    """

    def __init__(
        self,
        line: Line,
        request: CurrentRequest,
        *,
        queue_timeout: float | None = None,
        timeout: float | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        self.request = request
        self.started: float | None = None
        self._line = line
        self._timeout = timeout
        self._queue_end = None if queue_timeout is None else time.monotonic() + queue_timeout
        self._on_start = on_start
        self._on_release: Callable[[], None] | None = None
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._job: Job[Any] | None = None  # the last one
        self._timer: asyncio.TimerHandle | None = None
        self._thread = 0  # its identity
        self._released = False
        self.place = 0

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a blocking `function` on the thread of this turn, when its turn has come.

        Raises what the function raises; `Unavailable` where the turn did not come in time, `ModelTimeout` at
        the deadline and `CancelledError` when the caller is cancelled, at once: the call then goes on, and is
        an orphan after `release`.
        """
        loop = self.request.loop
        context = contextvars.copy_context()
        context.run(working_for.set, self.request)
        future: asyncio.Future[T] = loop.create_future()
        job = Job(loop, future, context, function, args)
        is_first = self._job is None
        self._job = job
        self._jobs.put(job)
        if is_first:
            self._line.join(self, loop)
        self._arm(future)
        try:
            return await future
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            job.future = None
            del future, job, function, args  # an exception's traceback leads here

    def release(self) -> None:
        """Ends the turn: at once where it has not begun, else when the call that is going on has ended.

        From the event loop, or from within a call: then the model is free before the loop hears of it.
        """
        if self._released:
            return
        self._released = True
        if self._line.leave(self):
            self._jobs, self._job = queue.SimpleQueue(), None  # keep nothing of the request
            return
        self._jobs.put(None)
        is_going_on = self._job is not None and not self._job.ended
        if is_going_on and threading.get_ident() != self._thread:
            self._line.orphan(self)
            self.request.cancel()

    def on_release(self, function: Callable[[], None]) -> None:
        """Has `function` called on the thread at the end of the turn, however it ends. From within a call.

        It sees the same `current_request()`.
        """
        self._on_release = functools.partial(contextvars.copy_context().run, function)

    def _arm(self, future: asyncio.Future[Any]) -> None:
        """Sets the timer to when it must be looked whether the turn has begun, or the call ended."""
        if self.started is not None:
            left = self.request.remaining()
        else:
            left = self._timeout
            if self._queue_end is not None:
                left = min(self._queue_end - time.monotonic(), inf if left is None else left)
        self._timer = None if left is None else self.request.loop.call_later(left, self._check, future)

    def _check(self, future: asyncio.Future[Any]) -> None:
        if future.done():
            return
        if self.started is None and self._queue_end is not None and time.monotonic() >= self._queue_end:
            future.set_exception(Unavailable("the model was busy for too long: try again later"))
        elif self.started is not None and self.request.remaining() == 0:
            future.set_exception(ModelTimeout(self._stack()))
        else:
            self._arm(future)

    def _stack(self) -> str:
        """Where the call is now."""
        if self._job is None or self._job.ended:
            return ""
        task = self.request.task
        return stack_of_thread(self._thread) if task is None else stack_of_coroutine(task.get_coro())

    def fits(self, place: int) -> bool:
        """Whether the thread `place` can serve it: any can."""
        return True

    def serve(self, place: int) -> None:
        """The turn, on the line's thread number `place`."""
        self.place = place
        if self._line.devices:
            self.request.device = self._line.devices[place]
        self._thread = threading.get_ident()
        started = time.monotonic()
        if self._timeout is not None:
            self.request.deadline = started + self._timeout
        self.started = started
        if self._on_start is not None:
            self._on_start()
        while (job := self._jobs.get()) is not None:
            job.run()
        if self._on_release is not None:
            with suppress(BaseException):  # a generator's own end, of which nobody can be told
                self._on_release()
            self._on_release = None
