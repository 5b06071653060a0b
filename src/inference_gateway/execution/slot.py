"""The model's calls, on threads of their own.

A route has a thread for each call that may run at once, and a slot is a turn on such a thread: turns are
taken in the order they were asked for, and the next one begins when the thread has really come back from the
one before. Python cannot stop a thread, so a call whose caller is gone or whose time is up keeps its thread
(`orphaned`) until it returns, and more models never run at once than were asked for.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING, Any

from inference_gateway.errors import ModelTimeout, Unavailable
from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.job import Job, T
from inference_gateway.telemetry.context import working_for

if TYPE_CHECKING:
    from inference_gateway.execution.runner import ModelRunner


class _State(Enum):
    WAITING = auto()
    RUNNING = auto()
    ENDED = auto()


class Slot:
    """One request's turn on a model thread: from its first call until `release`, or until a call's result
    does not ask to keep it.
    """

    def __init__(
        self,
        runner: ModelRunner,
        request: CurrentRequest,
        *,
        queue_timeout: float | None = None,
        timeout: float | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        self.request = request
        self.started: float | None = None  # by time.monotonic()
        self._runner = runner
        self._timeout = timeout
        self._queue_end = None if queue_timeout is None else time.monotonic() + queue_timeout
        self._on_start = on_start
        self.at_end: Callable[[], None] | None = None  # called on the thread when the turn ends
        self._state = _State.WAITING
        self._orphaned = False
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._job: Job[Any] | None = None  # the last one
        self._timer: asyncio.TimerHandle | None = None

    async def call(
        self, function: Callable[..., T], *args: Any, keep: Callable[[T], bool] | None = None
    ) -> T:
        """Runs a blocking `function` on the thread of this turn, when its turn has come.

        `keep(result)` says whether more calls will follow; without it none do. Raises what the function
        raises; `Unavailable` where the turn did not come in time, `ModelTimeout` at the deadline and
        `CancelledError` when the caller is cancelled, at once: the call then is an orphan, and goes on.
        """
        loop = self.request._loop
        context = contextvars.copy_context()
        context.run(working_for.set, self.request)
        job = Job(loop, loop.create_future(), context, function, args, keep)
        first = self._job is None
        self._job = job
        self._jobs.put(job)
        if first:
            self._runner._line_up(self, loop)
        self._arm(job)
        try:
            result: T = await job.future
            return result
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _arm(self, job: Job[Any]) -> None:
        """Sets the timer to when it must be looked whether the turn has begun, or the call ended."""
        if self.started is not None:
            left = self.request.remaining()
        else:
            left = self._timeout
            if self._queue_end is not None:
                left = min(self._queue_end - time.monotonic(), inf if left is None else left)
        self._timer = None if left is None else job.loop.call_later(left, self._check, job)

    def _check(self, job: Job[Any]) -> None:
        if job.future.done():
            return
        if self.started is None and self._queue_end is not None and time.monotonic() >= self._queue_end:
            job.future.set_exception(Unavailable("the model was busy for too long: try again later"))
        elif self.started is not None and self.request.remaining() == 0:
            job.future.set_exception(ModelTimeout())
        else:
            self._arm(job)

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def release(self) -> None:
        """Ends the turn: at once where it has not begun, else when the call that is going on has ended."""
        going_on = self._job is not None and not self._job.ended
        with self._runner._lock:
            if self._state is _State.WAITING:
                self._state = _State.ENDED
                self._jobs, self._job = queue.SimpleQueue(), None  # keep nothing of the request
                self._runner._step_out(self)
            elif self._state is _State.RUNNING:
                self._jobs.put(None)
                if going_on:
                    self._orphaned = True
                    self._runner.orphaned += 1
                    if self._runner.orphaned == self._runner.concurrency:
                        self._runner._stuck_since = time.monotonic()
        if going_on:
            self.request._cancel()

    def _begin(self) -> None:
        """Under the runner's lock: the turn has come."""
        self._state = _State.RUNNING
        self._runner.slots_taken += 1

    def _serve(self) -> None:
        """The turn, on the thread."""
        runner = self._runner
        started = time.monotonic()
        if self._timeout is not None:
            self.request.deadline = started + self._timeout
        self.started = started
        if self._on_start is not None:
            self._on_start()
        while (job := self._jobs.get()) is not None and job.run():
            pass
        if self.at_end is not None:
            with suppress(BaseException):  # a generator's own end, of which nobody can be told
                self.at_end()
        with runner._lock:
            self._state = _State.ENDED
            runner.slots_taken -= 1
            if self._orphaned:
                runner.orphaned -= 1
                runner._stuck_since = None
