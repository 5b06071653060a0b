"""A model in processes of its own: each place of the line has one, which is started anew when it has ended.

A turn is served where a process is set up. So a route whose process is being replaced does not keep a place
from the other routes that share it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from inference_gateway.errors import ModelCrashed, SetupFailed
from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.line import Line, Load
from inference_gateway.execution.process.host import ModelProcess, Recipe
from inference_gateway.execution.process.keeper import Keeper, SharedKeeper
from inference_gateway.execution.process.turn import Ends, ProcessSlot
from inference_gateway.telemetry.families import (
    MODEL_PROCESS_MEMORY,
    MODEL_RESTARTS,
    MODEL_SETUP_SECONDS,
    Sample,
)
from inference_gateway.telemetry.identity import TraceContext

logger = logging.getLogger("inference_gateway")

REASONS = ("crash", "deadline", "abandoned", "device memory", "device error", "max_calls")
"""Why a process is replaced."""

_CRASHES = 5  # in a row, after which something is wrong that no new process mends
_LONGEST_PAUSE = 30.0  # seconds between two attempts to start a process
_TEAR_DOWN_SECONDS = 30.0


class ProcessRunner:
    """One route's model in processes of its own: a `Runner`.

    `recipe` says what is run. `devices`: a process for each, as many as the line has threads; their names or
    None. `max_calls`: after so many a process is replaced, 0 for never; the new one is set up before.
    """

    def __init__(
        self,
        recipe: Recipe,
        line: Line,
        keeper: SharedKeeper,
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
        self.model_info = recipe.model_info
        self._recipe = recipe
        self._devices = devices
        self._timeout = timeout
        self._queue_timeout = queue_timeout
        self._max_calls = max_calls
        self._lock = threading.Lock()
        self._keeper = keeper
        keeper.share()
        self._processes: list[ModelProcess | None] = [None] * len(devices)
        self._successors: dict[int, ModelProcess] = {}
        self._changed = threading.Condition()  # what `has_process` says
        self._in_turn: set[int] = set()  # places
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

    def samples(self) -> Iterator[Sample]:
        """Tell how often a process was replaced, how long its set-up took, and the memory of each."""
        for reason, count in self.restarts.items():
            yield Sample(MODEL_RESTARTS, (reason, self.route), (count,))
        yield Sample(MODEL_SETUP_SECONDS, (self.route,), (self.set_up_seconds,), largest=True)
        for place, process in enumerate(self._processes):
            resident = 0 if process is None else process.memory()
            yield Sample(MODEL_PROCESS_MEMORY, (self.route, str(place)), (resident,))

    async def set_up(self) -> None:
        """Start all processes, at once, and set the model up in each. Raises `SetupFailed`."""
        places = range(len(self._devices))
        started = await _at_once([partial(self._start, place) for place in places])
        failed = [error for error in started if isinstance(error, BaseException)]
        if self._closed.is_set() or failed:
            for process in started:
                if isinstance(process, ModelProcess):
                    process.drop()
            if self._closed.is_set():  # it has been ended meanwhile: no failure
                raise asyncio.CancelledError
            raise SetupFailed(f"model {self.name}: {failed[0]}") from failed[0].__cause__
        for place, process in enumerate(started):
            self._install(place, process)

    async def tear_down(self) -> None:
        """Tear the model down in each process, and end them. Raises the first thing that fails."""
        self._closed.set()
        ended: list[Any] = []
        try:
            living = [process for process in self._processes if process is not None]
            ended = await _at_once([partial(process.tear_down, _TEAR_DOWN_SECONDS) for process in living])
        finally:
            keeper = self._close()
        if keeper is not None:
            await asyncio.to_thread(keeper.join)
        for error in filter(None, ended):
            raise error

    def close(self) -> None:
        """Kill what is left, and do not wait. The gateway ends."""
        self._close()

    async def lost(self) -> str:
        """Wait for ever: a process that ends is started anew."""
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never

    def _close(self) -> Keeper | None:
        self._closed.set()
        self._look_again()
        self.line.close()
        for process in self._processes:
            if process is not None:
                process.kill()
        for successor in self._successors.values():
            successor.drop()
        return self._keeper.close()

    def slot(
        self,
        request_id: str,
        on_start: Callable[[], None] | None = None,
        trace: TraceContext | None = None,
    ) -> ProcessSlot:
        """Return a turn for one request. `on_start` is called on the turn's thread when it begins."""
        return ProcessSlot(
            self.line,
            CurrentRequest(request_id, self.route, trace=trace),
            self,
            queue_timeout=self._queue_timeout,
            timeout=self._timeout,
            on_start=on_start,
        )

    def has_process(self, place: int) -> bool:
        """Whether the process of this place can be called; at the gateway's end anything goes, and fails."""
        process = self._processes[place]
        return self._closed.is_set() or (process is not None and not process.has_ended)

    def wait_for_process(self, place: int) -> None:
        """Wait until it has. On a thread of the line, in a turn."""
        with self._changed:
            self._changed.wait_for(partial(self.has_process, place))

    def process(self, place: int) -> ModelProcess:
        """Return the process of this place, for one turn that ends with `make_good`."""
        with self._lock:
            self._in_turn.add(place)
            process = self._processes[place]
        if process is None:
            raise ModelCrashed("it could not be started again")
        return process

    def call_succeeded(self) -> None:
        """Forget the crashes in a row."""
        self._crashes = 0

    def make_good(self, place: int) -> None:
        """End the turn. A process that is spoilt is gone then, and another one is being set up."""
        with self._lock:
            self._in_turn.discard(place)
            process = self._processes[place]
            is_good = process is not None and not process.has_ended and process.spoilt is None
            if not is_good:
                self._processes[place] = None
        if process is None:
            return
        if is_good:
            self._replace_worn_out(place, process)
        else:
            self._replace(place, process)

    def _ended(self, process: ModelProcess) -> None:
        """On the keeper's thread: a process has ended. In a turn that is the turn's affair."""
        with self._lock:
            if process not in self._processes:
                return
            place = self._processes.index(process)
            if place in self._in_turn and not self._closed.is_set():  # then its loop may have gone
                return
            self._processes[place] = None
        if self._closed.is_set():
            process.end(0.0)
        else:
            self._replace(place, process)

    def _replace(self, place: int, process: ModelProcess) -> None:
        """Return when the process has really ended: from then on nothing of it runs on the device."""
        reason = process.spoilt or "crash"
        self._count_restart(reason)
        if reason == "crash":
            self._crashes += 1
        process.end(0.0)
        threading.Thread(target=self._restart, args=(place, self._crashes > _CRASHES), daemon=True).start()

    def _restart(self, place: int, waits: bool) -> None:
        """Start a process until there is one; at once, or after a pause where they end again and again."""
        pause = 0.5
        if waits:
            self._closed.wait(pause)
        while not self._closed.is_set():
            try:
                self._install(place, self._start(place))
                return
            except SetupFailed as error:
                logger.error("model %s: %s", self.name, error, exc_info=error.__cause__)
                self._crashes += 1
                self._closed.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _install(self, place: int, process: ModelProcess) -> None:
        if process.model_info != self.model_info:
            self.model_info = process.model_info
        self._processes[place] = process
        process.on_end(partial(self._ended, process))  # which may be now
        self._look_again()

    def _look_again(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self.line.look_again()

    def _count_restart(self, reason: str) -> None:
        with self._lock:
            self.restarts[reason] += 1

    def _replace_worn_out(self, place: int, process: ModelProcess) -> None:
        if not self._max_calls or process.calls < self._max_calls:
            return
        successor = self._successors.pop(place, None)
        if successor is not None:
            self._count_restart("max_calls")
            self._install(place, successor)
            threading.Thread(target=self._end_worn_out, args=(process,), daemon=True).start()
        elif process.calls == self._max_calls:  # one attempt: the old one goes on until there is a new one
            threading.Thread(target=self._start_successor, args=(place,), daemon=True).start()

    def _end_worn_out(self, process: ModelProcess) -> None:
        try:
            process.tear_down(_TEAR_DOWN_SECONDS)
        except TimeoutError:
            logger.warning("teardown of model %s took too long", self.name)
        except Exception:
            logger.exception("teardown of model %s failed", self.name)

    def _start_successor(self, place: int) -> None:
        try:
            successor = self._successors[place] = self._start(place)
            if self._closed.is_set():
                successor.drop()
        except SetupFailed as error:
            logger.error("model %s: %s", self.name, error, exc_info=error.__cause__)

    def _start(self, place: int) -> ModelProcess:
        """Start a process. Blocks as long as the set-up takes. Raises `SetupFailed`."""
        if self._closed.is_set():
            raise SetupFailed("the gateway is shutting down")
        process = ModelProcess(self._keeper, replace(self._recipe, device=self._devices[place]))
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
