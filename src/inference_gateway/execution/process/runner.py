"""A model in processes of its own: each turn's thread has one, and starts it anew when it has ended."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from inference_gateway.errors import ModelCrashed, SetupFailed
from inference_gateway.execution.check import InferenceResponse
from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.line import Line, Load
from inference_gateway.execution.process.host import ModelProcess, Recipe
from inference_gateway.execution.process.keeper import Keeper
from inference_gateway.execution.runner import Study
from inference_gateway.execution.slot import Slot

logger = logging.getLogger("inference_gateway")

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
        self.restarts: dict[str, int] = {}  # by reason
        self.set_up_seconds = 0.0  # of the last process
        self._recipe = recipe
        self._devices = devices
        self._timeout = timeout
        self._queue_timeout = queue_timeout
        self._max_calls = max_calls
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
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(len(self._devices), thread_name_prefix="start") as threads:
            places = range(len(self._devices))
            started = await asyncio.gather(
                *(loop.run_in_executor(threads, self._start, place) for place in places),
                return_exceptions=True,
            )
        for place, process in enumerate(started):
            if isinstance(process, BaseException):
                raise SetupFailed(f"model {self.name}: {process}") from process.__cause__
            self._processes[place] = process

    async def tear_down(self) -> None:
        """Tear the model down in each process, and end them."""
        self._closed.set()
        loop = asyncio.get_running_loop()
        processes = [process for process in self._processes if process is not None]
        with ThreadPoolExecutor(len(self._devices), thread_name_prefix="end") as threads:
            await asyncio.gather(
                *(
                    loop.run_in_executor(threads, process.tear_down, _TEAR_DOWN_SECONDS)
                    for process in processes
                )
            )
        self.line.close()
        self.close()

    def close(self) -> None:
        """Kill what is left, and do not wait. The gateway ends."""
        self._closed.set()
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

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

    def call_ended(self, crash: ModelCrashed | None) -> None:
        """Count crashes in a row."""
        self._crashes = 0 if crash is None else self._crashes + 1

    def make_good(self, place: int) -> None:
        """See that the next turn meets a process that is set up. On the thread of the turn that ends."""
        process = self._processes[place]
        if process is not None and not process.has_ended and not process.spoilt:
            self._replace_worn_out(place, process)
            return
        if process is not None:
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

    def count_restart(self, reason: str) -> None:
        """Count why a process ended, for the metrics."""
        self.restarts[reason] = self.restarts.get(reason, 0) + 1

    def _replace_worn_out(self, place: int, process: ModelProcess) -> None:
        if not self._max_calls or process.calls < self._max_calls:
            return
        successor = self._successors.pop(place, None)
        if successor is not None:
            self.count_restart("max_calls")
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
        if self._keeper is None or not self._keeper.alive:
            self._keeper = Keeper()
        process = ModelProcess(self._keeper, replace(self._recipe, device=self._devices[place]))
        begun = time.monotonic()
        process.start()
        self.set_up_seconds = time.monotonic() - begun
        return process


class ProcessSlot(Slot):
    """A turn on a thread that stands in for a model process."""

    def __init__(self, line: Line, request: CurrentRequest, runner: ProcessRunner, **options: Any) -> None:
        super().__init__(line, request, **options)
        self._runner = runner
        self._process: ModelProcess | None = None
        self._timers: list[asyncio.TimerHandle] = []

    async def compute(self, study: Study) -> Any:
        """Call the model and check its result, in the process."""
        return await self.call(self._compute, study)

    def _compute(self, study: Study) -> InferenceResponse:
        """On the thread. Ends the turn, so that the model is free for the next, unless more is to come."""
        runner = self._runner
        self.on_release(self._end_turn)
        self._process = process = runner.process(self.place)
        self.request.on_cancel = self._cancelled
        more_to_come = False
        try:
            with study.spool:
                response = process.call(study.json_input, study.inputs, study.input_hash, study.spool)
            more_to_come = response.needs_model
        except ModelCrashed as crash:
            runner.call_ended(crash)
            runner.count_restart("timeout" if self.request.cancelled else "crash")
            raise
        finally:
            if not more_to_come:
                self.release()
        runner.call_ended(None)
        return response

    def _end_turn(self) -> None:
        """On the thread: the process lets go of the request, or is replaced."""
        if self._process is not None:
            self._process.release()
            self._process = None
        self.request.on_cancel = None
        with_loop = self.request.loop
        if self._timers and not with_loop.is_closed():
            with_loop.call_soon_threadsafe(self._disarm)
        self._runner.make_good(self.place)

    def _cancelled(self) -> None:
        """On the event loop: nobody waits any more. A model that does not see it is killed in the end."""
        process, ends = self._process, self._runner.ends
        if process is None:
            return
        process.cancel()
        left = 0.0 if ends.kill_abandoned else self.request.remaining()
        if left is not None:
            loop = self.request.loop
            self._timers = [
                loop.call_later(left + ends.grace, self._terminate, process),
                loop.call_later(left + ends.grace + _TERM_SECONDS, process.kill),
            ]

    def _terminate(self, process: ModelProcess) -> None:
        logger.warning(
            "model %s did not come back: its process is ended; the stacks of its threads are above",
            self._runner.name,
        )
        process.tell_stacks()
        process.kill(signal.SIGTERM)

    def _disarm(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
