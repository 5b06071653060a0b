"""The model's calls, on threads of their own.

A route has a thread for each call that may run at once, and a slot is a turn on such a thread: turns are
taken in the order they were asked for, and the next one begins when the thread has really come back from the
one before. Python cannot stop a thread, so a call whose caller is gone or whose time is up keeps its thread
(`orphaned`) until it returns, and more models never run at once than were asked for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf
from typing import Any, Generic, Protocol, TypeVar

from inference_gateway.errors import (
    InvalidModelOutput,
    ModelFailed,
    ModelTimeout,
    RequestCancelled,
    SetupFailed,
    Unavailable,
)

T = TypeVar("T")


# Seconds after which a thread that computes in Python lets another one run; Python's own is 0.005.
_SWITCH_INTERVAL = 0.0005


def share_the_lock() -> None:
    """Has Python's lock change hands sooner: the event loop needs it several times for one probe.

    For the whole process. An interval that is shorter already is left alone.
    """
    if sys.getswitchinterval() > _SWITCH_INTERVAL:
        sys.setswitchinterval(_SWITCH_INTERVAL)


class Model(Protocol):
    """A callback: `model(json_input, inputs, input_hash)` → `(json, elements)` or `json`."""

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str, /) -> Any: ...


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
        raise _that_travels(error) from error


_current: contextvars.ContextVar[CurrentRequest] = contextvars.ContextVar("inference_gateway_request")


def current_request() -> CurrentRequest:
    """The request that the calling callback works for. Raises `RuntimeError` outside a callback.

    Seen in the callback's thread, and in threads that are started with a copy of its `contextvars` context.
    """
    try:
        return _current.get()
    except LookupError:
        raise RuntimeError("current_request() works only inside a model's callback") from None


class ModelRunner:
    """One route's model: its threads, its turns, its life cycle.

    `model`: a blocking callable, an `async def` one, or an instance with `__call__`; `setup()`, `warm_up()`
    and `teardown()` are called where it has them, once each, on a model thread. `concurrency`: calls at
    once. `timeout`, `queue_timeout`: seconds or None.

    The threads are daemons: the interpreter would join others at exit, so that a hung model would keep the
    process from ending.
    """

    def __init__(
        self,
        route: str,
        model: Callable[..., Any],
        *,
        name: str,
        concurrency: int,
        timeout: float | None,
        queue_timeout: float | None,
    ) -> None:
        self.route = route
        self.name = name
        self.model = model
        self.concurrency = concurrency
        self.timeout = timeout
        self.queue_timeout = queue_timeout
        self.slots_taken = 0  # orphaned ones too
        self.orphaned = 0  # calls whose caller is gone or whose time is up
        self._stuck_since: float | None = None  # by time.monotonic(): all slots are orphaned
        self._line: OrderedDict[Slot, None] = OrderedDict()  # who waits for a turn, first come first
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # an entry for each in line, or to end
        self._ended = False
        self._threads = 0
        self._lock = threading.Lock()

    @property
    def stuck_for(self) -> float:
        """Seconds for which each slot has been held by a call that nobody waits for; 0.0 where one is not."""
        since = self._stuck_since
        return 0.0 if since is None else time.monotonic() - since

    async def set_up(self) -> None:
        """Runs `setup` and `warm_up`. Raises `SetupFailed`, with the model's exception as its cause."""
        for step in ("setup", "warm_up"):
            try:
                await self._life_cycle(step)
            except Exception as error:
                raise SetupFailed(f"{step} of model {self.name} failed") from error

    async def tear_down(self) -> None:
        """Runs `teardown` when a thread of the model is free, and ends the threads."""
        try:
            await self._life_cycle("teardown")
        finally:
            self._ended = True
            for _ in range(self._threads):
                self._wake.put(None)

    async def _life_cycle(self, step: str) -> None:
        function = getattr(self.model, step, None)
        if function is not None:
            slot = Slot(self, CurrentRequest(step, self.route), queue_timeout=None)
            try:
                await slot.call(run_to_end, function)
            finally:
                slot.release()

    def slot(self, request_id: str, on_start: Callable[[], None] | None = None) -> Slot:
        """A turn for one request. `on_start` is called on the model's thread when the turn begins."""
        request = CurrentRequest(request_id, self.route)
        return Slot(self, request, queue_timeout=self.queue_timeout, timeout=self.timeout, on_start=on_start)

    def _line_up(self, slot: Slot, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._line[slot] = None
            if len(self._line) + self.slots_taken > self._threads < self.concurrency:
                self._start_thread()
        # When the loop is done with what is ready: a thread that wakes before only fights it for the lock.
        loop.call_soon(self._wake.put, None)

    def _start_thread(self) -> None:
        """Raises `Unavailable` where the system has none left and there is no other to serve the line."""
        name = f"model {self.route} {self._threads + 1}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError as error:
            if not self._threads:
                raise Unavailable("the gateway has no thread for the model: try again later") from error
        else:
            self._threads += 1

    def _step_out(self, slot: Slot) -> None:
        """Under the lock: a request that gives up leaves the line, so that it is no longer than the queue."""
        if self._line.pop(slot, slot) is None and not self._ended:
            with suppress(queue.Empty):  # a thread finds one entry more than there are in line
                self._wake.get_nowait()

    def _work(self) -> None:
        while True:
            self._wake.get()
            with self._lock:
                if self._line:
                    slot, _ = self._line.popitem(last=False)
                    slot._begin()
                elif self._ended:
                    return
                else:
                    continue
            slot._serve()
            del slot  # an idle thread must not keep a request alive


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
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._job: _Job[Any] | None = None  # the last one
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
        context.run(_current.set, self.request)
        job = _Job(loop, loop.create_future(), context, function, args, keep)
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

    def _arm(self, job: _Job[Any]) -> None:
        """Sets the timer to when it must be looked whether the turn has begun, or the call ended."""
        if self.started is not None:
            left = self.request.remaining()
        else:
            left = self._timeout
            if self._queue_end is not None:
                left = min(self._queue_end - time.monotonic(), inf if left is None else left)
        self._timer = None if left is None else job.loop.call_later(left, self._check, job)

    def _check(self, job: _Job[Any]) -> None:
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


@dataclass(slots=True)
class _Job(Generic[T]):
    """A call for a thread, and the future of the loop that waits for it."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]
    context: contextvars.Context
    function: Callable[..., T]
    args: tuple[Any, ...]
    keep: Callable[[T], bool] | None
    ended: bool = False

    def run(self) -> bool:
        """Makes the call and has the loop told; returns whether more calls will follow."""
        keep = False
        function, args = self.function, self.args
        del self.function, self.args  # they may hold the turn, which holds this: no garbage for the collector
        try:
            result = self.context.run(function, *args)
            report = functools.partial(self._succeed, result)
            keep = self.keep is not None and self.keep(result)
        except BaseException as error:
            report = functools.partial(self._fail, _that_travels(error))
        self.ended = True
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self.loop.call_soon_threadsafe(report)
        return keep

    def _succeed(self, result: T) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def _that_travels(error: BaseException) -> Exception:
    """`StopIteration` cannot pass through a future, and `SystemExit` would end the event loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"{type(error).__name__} was raised")
    wrapped.__cause__ = error
    return wrapped


def run_to_end(function: Callable[..., Any], *args: Any) -> Any:
    """Calls `function` on a model's thread; what it returns is awaited on the event loop if it must be."""
    result = function(*args)
    if not inspect.iscoroutine(result):
        return result
    request = _current.get()
    return request._await(result)


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
