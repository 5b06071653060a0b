"""A model in processes of its own: each turn's thread has one, and starts it anew when it has ended."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from inference_gateway.errors import ModelCrashed, SetupFailed
from inference_gateway.execution.check import InferenceResponse
from inference_gateway.execution.current_request import CurrentRequest, Request
from inference_gateway.execution.line import Line, Load
from inference_gateway.execution.process.host import ModelProcess, Recipe
from inference_gateway.execution.process.keeper import Keeper
from inference_gateway.execution.runner import Study
from inference_gateway.execution.slot import Slot

logger = logging.getLogger("inference_gateway")

REASONS = ("crash", "deadline", "abandoned", "device memory", "max_calls")
"""Why a process is replaced."""

_CRASHES = 5  # in a row, after which something is wrong that no new process mends
_LONGEST_PAUSE = 30.0  # seconds between two attempts to start a process
_TERM_SECONDS = 1.0  # between SIGTERM and SIGKILL
_TEAR_DOWN_SECONDS = 30.0


@dataclass(frozen=True)
class Ends:
    """When a call ends that nobody waits for.

    `grace`: seconds that a model gets to see that it is cancelled; then its process is killed. After its
    deadline always, and where its client has left, only if `kill_abandoned`: a new process costs a set-up.
    """

    grace: float = 5.0
    kill_abandoned: bool = False


class ProcessRunner:
    """One route's model in processes of its own: a `Runner`.

    `recipe` says what is run. `devices`: a process for each, as many as the line has threads; their names or
    None. `max_calls`: after so many a process is replaced, 0 for never; the new one is set up before.
    """

    def __init__(
        self,
        recipe: Recipe,
        line: Line,
        *,
        name: str,
        devices: Sequence[str | None],
        ends: Ends,
        timeout: float | None,
        queue_timeout: float | None,
        max_calls: int = 0,
    ) -> None:
        self.route = recipe.route
        self.name = name
        self.line = line
        line.share()
        self.ends = ends
        self.restarts: dict[str, int] = dict.fromkeys(REASONS, 0)
        self.set_up_seconds = 0.0  # of the last process
        self._recipe = recipe
        self._devices = devices
        self._timeout = timeout
        self._queue_timeout = queue_timeout
        self._max_calls = max_calls
        self._lock = threading.Lock()
        self._keeper: Keeper | None = None
        self._processes: list[ModelProcess | None] = [None] * len(devices)
        self._successors: dict[int, ModelProcess] = {}
        self._crashes = 0  # in a row
        self._closed = threading.Event()

    needs_set_up = True

    @property
    def readiness(self) -> Load:
        """How busy its processes are, and whether there are any."""
        load = self.line.load
        if self._crashes >= _CRASHES:
            return load._replace(unhealthy="a model's process ends again and again")
        if not any(process is not None and not process.has_ended for process in self._processes):
            return load._replace(unready="a model's process is being started")
        return load

    @property
    def memory(self) -> int:
        """Resident bytes of all its processes."""
        return sum(process.memory() for process in self._processes if process is not None)

    async def set_up(self) -> None:
        """Start all processes, at once, and set the model up in each. Raises `SetupFailed`."""
        places = range(len(self._devices))
        started = await _at_once([partial(self._start, place) for place in places])
        if self._closed.is_set():  # it has been ended meanwhile: no failure
            raise asyncio.CancelledError
        for process in started:
            if isinstance(process, BaseException):
                raise SetupFailed(f"model {self.name}: {process}") from process.__cause__
        self._processes = started

    async def tear_down(self) -> None:
        """Tear the model down in each process, and end them."""
        self._closed.set()
        try:
            living = [process for process in self._processes if process is not None]
            await _at_once([partial(process.tear_down, _TEAR_DOWN_SECONDS) for process in living])
        finally:
            self.close()
        if self._keeper is not None:
            await asyncio.to_thread(self._keeper.join)

    def close(self) -> None:
        """Kill what is left, and do not wait. The gateway ends."""
        self._closed.set()
        self.line.close()
        if self._keeper is not None:
            self._keeper.close()

    def slot(self, request_id: str, on_start: Callable[[], None] | None = None) -> ProcessSlot:
        """Return a turn for one request. `on_start` is called on the turn's thread when it begins."""
        return ProcessSlot(
            self.line,
            CurrentRequest(request_id, self.route),
            self,
            queue_timeout=self._queue_timeout,
            timeout=self._timeout,
            on_start=on_start,
        )

    def process(self, place: int) -> ModelProcess:
        """Return the process of one of the line's threads."""
        process = self._processes[place]
        if process is None:
            raise ModelCrashed("it could not be started again")
        return process

    def call_succeeded(self) -> None:
        """Forget the crashes in a row."""
        self._crashes = 0

    def make_good(self, place: int) -> None:
        """See that the next turn meets a process that is set up. On the thread of the turn that ends."""
        process = self._processes[place]
        if process is not None:
            if not process.has_ended and process.spoilt is None:
                self._replace_worn_out(place, process)
                return
            reason = process.spoilt or "crash"
            self._count_restart(reason)
            if reason == "crash":
                self._crashes += 1
            process.end(0.0)
        self._processes[place] = None
        pause = 0.5
        while not self._closed.is_set():
            try:
                self._processes[place] = self._start(place)
                return
            except SetupFailed as error:
                logger.error("model %s: %s", self.name, error, exc_info=error.__cause__)
                self._crashes += 1
                self._closed.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _count_restart(self, reason: str) -> None:
        with self._lock:
            self.restarts[reason] += 1

    def _replace_worn_out(self, place: int, process: ModelProcess) -> None:
        if not self._max_calls or process.calls < self._max_calls:
            return
        successor = self._successors.pop(place, None)
        if successor is not None:
            self._count_restart("max_calls")
            self._processes[place] = successor
            threading.Thread(target=process.tear_down, args=(_TEAR_DOWN_SECONDS,), daemon=True).start()
        elif process.calls == self._max_calls:  # one attempt: the old one goes on until there is a new one
            threading.Thread(target=self._start_successor, args=(place,), daemon=True).start()

    def _start_successor(self, place: int) -> None:
        try:
            self._successors[place] = self._start(place)
        except SetupFailed as error:
            logger.error("model %s: %s", self.name, error, exc_info=error.__cause__)

    def _start(self, place: int) -> ModelProcess:
        """Start a process. Blocks as long as the set-up takes. Raises `SetupFailed`."""
        with self._lock:
            if self._closed.is_set():
                raise SetupFailed("the gateway is shutting down")
            if self._keeper is None or not self._keeper.alive:
                self._keeper = Keeper()
            keeper = self._keeper
        process = ModelProcess(keeper, replace(self._recipe, device=self._devices[place]))
        begun = time.monotonic()
        process.start()
        self.set_up_seconds = time.monotonic() - begun
        return process


async def _at_once(functions: list[Callable[[], Any]]) -> list[Any]:
    """Run blocking functions, each on a thread of its own; return their results or exceptions.

    Cancelled, it leaves them alone: they end when their process does.
    """
    if not functions:
        return []
    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(len(functions), thread_name_prefix="model process")
    try:
        jobs = (loop.run_in_executor(threads, function) for function in functions)
        return await asyncio.gather(*jobs, return_exceptions=True)
    finally:
        threads.shutdown(wait=False)


class ProcessSlot(Slot):
    """A turn on a thread that stands in for a model process."""

    def __init__(self, line: Line, request: CurrentRequest, runner: ProcessRunner, **options: Any) -> None:
        super().__init__(line, request, **options)
        self._runner = runner
        self._lock = threading.Lock()
        self._process: ModelProcess | None = None  # while the turn goes on
        self._timers: list[asyncio.TimerHandle] = []

    async def compute(self, study: Study) -> Any:
        """Call the model and check its result, in the process."""
        return await self.call(self._compute, study)

    def _compute(self, study: Study) -> InferenceResponse:
        """On the thread. Ends the turn, so that the model is free for the next, unless more is to come."""
        process = self._begin_call()
        more_to_come = False
        try:
            self.request.raise_if_cancelled()  # before `on_cancel` was there
            with study.spool:
                response = process.call(study.json_input, study.inputs, study.input_hash, study.spool)
            more_to_come = response.needs_model
        finally:
            if not more_to_come:
                self.release()
        self._runner.call_succeeded()
        return response

    def _begin_call(self) -> ModelProcess:
        self.on_release(self._end_turn)
        self._process = process = self._runner.process(self.place)
        self.request.on_cancel = self._cancelled
        return process

    def together(self, calls: Sequence[tuple[Request, Study]]) -> Iterator[Any]:
        """Call the model with several requests, on the thread; give the outcome of each."""
        former = self._process
        if former is not None and (former.has_ended or former.spoilt is not None):
            self._end_turn()  # the call before, of the same turn, has cost its process
        process = self._begin_call()
        self.request.raise_if_cancelled()
        for outcome in process.call_together(calls):
            if not isinstance(outcome, Exception):
                self._runner.call_succeeded()
            yield outcome

    def tell_cancelled(self, request: Request) -> None:
        """Tell the process that nobody waits for this one of a batch."""
        process = self._process
        if process is not None:
            process.cancel(request.request_id)

    def _end_turn(self) -> None:
        """On the thread: the process lets go of the request, or is replaced."""
        process = self._process
        if process is not None:
            process.release(self._runner.ends.grace)
            with self._lock:  # from here on no timer ends it
                self._process = None
        self.request.on_cancel = None
        if self._timers:
            with suppress(RuntimeError):  # the loop is closed
                self.request.loop.call_soon_threadsafe(self._disarm)
        self._runner.make_good(self.place)

    def _cancelled(self) -> None:
        """On the event loop: nobody waits any more. A model that does not see it is killed in the end."""
        process, ends = self._process, self._runner.ends
        if process is None:
            return
        process.cancel(self.request.request_id)
        left = self.request.remaining()
        why = "deadline"
        if ends.kill_abandoned and left != 0.0:
            left, why = 0.0, "abandoned"
        if left is not None:
            loop = self.request.loop
            self._timers = [
                loop.call_later(left + ends.grace, self._end_process, why, signal.SIGTERM),
                loop.call_later(left + ends.grace + _TERM_SECONDS, self._end_process, why, signal.SIGKILL),
            ]

    def _end_process(self, why: str, number: int) -> None:
        with self._lock:
            process = self._process
            if process is None:
                return
            if process.spoilt is None:
                logger.warning(
                    "model %s did not come back (%s): its process is ended; the stacks of its threads are on "
                    "standard error",
                    self._runner.name,
                    why,
                )
                process.spoilt = why
                process.tell_stacks()
            process.kill(number)

    def _disarm(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
