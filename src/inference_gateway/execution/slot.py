"""A slot: one request's turn on a thread of its model."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.job import Job, T
from inference_gateway.execution.line import Line
from inference_gateway.execution.waiting import Waiting
from inference_gateway.telemetry.context import work_for
from inference_gateway.telemetry.stacks import stack_of_coroutine, stack_of_thread


class Slot(Waiting):
    """One request's turn on a thread of its model: from its first call until `release`.

    `line`: whose turn it is; the rest is that of its wait.
    """

    def __init__(
        self,
        line: Line,
        request: CurrentRequest,
        queue_timeout: float | None = None,
        timeout: float | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(request, queue_timeout, timeout, on_start)
        self._line = line
        self._on_release: Callable[[], None] | None = None
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._job: Job[Any] | None = None  # the last one
        self._thread = 0  # its identity
        self._released = False
        self.place = 0

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking `function` on the thread of this turn, when its turn has come.

        Raises what the function raises; `Unavailable` where the turn did not come in time, `ModelTimeout` at
        the deadline and `CancelledError` when the caller is cancelled, at once: the call then goes on, and is
        an orphan after `release`.
        """
        future: asyncio.Future[T] = self.request.loop.create_future()
        job = self._put(future, function, args)
        self._arm(future)
        try:
            return await future
        finally:
            self._disarm()
            job.future = None
            del future, job, function, args  # an exception's traceback leads here

    def start(self, function: Callable[..., object], *args: Any) -> None:
        """Has a blocking `function` run on the thread of this turn; nobody waits for its end.

        Raises `Unavailable` where the system has no thread for it.
        """
        self._put(None, function, args)

    def _put(
        self, future: asyncio.Future[T] | None, function: Callable[..., T], args: tuple[Any, ...]
    ) -> Job[T]:
        loop = self.request.loop
        context = contextvars.copy_context()
        context.run(work_for, self.request)
        job = Job(loop, future, context, function, args)
        is_first = self._job is None
        self._job = job
        self._jobs.put(job)
        if is_first:
            self._line.join(self, loop)
        return job

    def release(self) -> None:
        """End the turn: at once where it has not begun, else when the call that is going on has ended.

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

    def stack(self) -> str:
        """Where the call is now: innermost frame first."""
        if self._job is None or self._job.ended:
            return ""
        task = self.request.task
        return stack_of_thread(self._thread) if task is None else stack_of_coroutine(task.get_coro())

    def fits(self, place: int) -> bool:
        """Whether the thread `place` can serve it: any can."""
        return True

    @property
    def begins_on_loop(self) -> bool:
        """Whether the turn begins without a thread: its calls need one."""
        return False

    def begin_on_loop(self, place: int) -> None:
        """Do nothing."""

    def begin_at(self, place: int) -> None:
        """Begin the turn at this place; nothing where that has been done."""
        if self.started is None:
            self.place = place
            if self._line.devices:
                self.request.device = self._line.devices[place]
            self.begin()

    def serve(self, place: int) -> None:
        """Take the turn, or what is left of it, on the line's thread number `place`."""
        self._thread = threading.get_ident()
        self.begin_at(place)
        while (job := self._jobs.get()) is not None:
            job.run()
        if self._on_release is not None:
            with suppress(BaseException):  # a generator's own end, of which nobody can be told
                self._on_release()
            self._on_release = None
