"""One request's turn at a model process: the call, its cancellation, the end of what does not come back."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from inference_gateway.execution.check import InferenceResponse
from inference_gateway.execution.current_request import CurrentRequest, Request
from inference_gateway.execution.line import Line
from inference_gateway.execution.process.host import TERM_SECONDS, ModelProcess
from inference_gateway.execution.runner import Study
from inference_gateway.execution.slot import Slot
from inference_gateway.telemetry.context import about

_LIGHT = 16 << 10  # bytes of a body in memory: its frame always fits into an empty socket buffer
_STACKS_SECONDS = 0.5  # for a process to write its stacks before SIGTERM: nothing tells when it has

logger = logging.getLogger("inference_gateway")


@dataclass(frozen=True)
class Ends:
    """When a call ends that nobody waits for.

    `grace`: seconds that a model gets to see that it is cancelled; then its process is killed. After its
    deadline always, and where its client has left, only if `kill_abandoned`: a new process costs a set-up.
    """

    grace: float = 5.0
    kill_abandoned: bool = False


class Host(Protocol):
    """A model elsewhere, for one turn."""

    spoilt: str | None

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        ...

    def call(self, json_input: Any, inputs: list[Any], input_hash: str, spool: Any) -> InferenceResponse:
        """Call the model and return its checked result."""
        ...

    def call_together(self, calls: Sequence[tuple[Request, Study]]) -> Iterator[Any]:
        """Call the model with several requests; give the outcome of each."""
        ...

    def release(self, seconds: float | None = None) -> None:
        """Have it let go of what it keeps of the call."""
        ...

    def cancel(self, key: str) -> None:
        """Tell it that nobody waits for the result of the request of this key. Does not wait."""
        ...

    def tell_stacks(self) -> None:
        """Have it write to standard error what its threads are doing. Does not wait."""
        ...

    def kill(self, number: int = ...) -> None:
        """Send a signal to it, and do not wait."""
        ...


class Places(Protocol):
    """Where the hosts of a route are: one for each place of the line. `ends`: when they are killed."""

    name: str
    ends: Ends

    def has_process(self, place: int) -> bool:
        """Whether the host of this place can be called."""
        ...

    def wait_for_process(self, place: int) -> None:
        """Wait until it can."""
        ...

    def process(self, place: int) -> Host:
        """Return the host of this place, for one turn that ends with `make_good`."""
        ...

    def call_succeeded(self) -> None:
        """Note that all is well."""
        ...

    def make_good(self, place: int) -> None:
        """End the turn."""
        ...


class HostSlot(Slot):
    """A turn on a thread that stands in for a model elsewhere."""

    def __init__(self, line: Line, request: CurrentRequest, runner: Places, **options: Any) -> None:
        super().__init__(line, request, **options)
        self._runner = runner
        self._lock = threading.Lock()
        self._process: Host | None = None  # while the turn goes on
        self._timers: list[asyncio.TimerHandle] = []

    def fits(self, place: int) -> bool:
        """Whether the place has a process."""
        return self._runner.has_process(place)

    async def compute(self, study: Study) -> Any:
        """Call the model and check its result, where the model is."""
        return await self.call(self._compute, study)

    def _compute(self, study: Study) -> InferenceResponse:
        """On the thread. Ends the turn, so that the model is free for the next, unless more is to come."""
        process = self._begin_call()
        more_to_come = False
        try:
            response = self._call(process, study)
            more_to_come = response.needs_model
        finally:
            if not more_to_come:
                self.release()
        self._runner.call_succeeded()
        return response

    def _call(self, process: Host, study: Study) -> InferenceResponse:
        self.request.raise_if_cancelled()  # before `on_cancel` was there
        with study.spool:
            return process.call(study.json_input, study.inputs, study.input_hash, study.spool)

    def _begin_call(self) -> Host:
        self.on_release(self._end_turn)
        self._process = process = self._runner.process(self.place)
        self.request.on_cancel = self._cancelled
        return process

    def together(self, calls: Sequence[tuple[Request, Study]]) -> Iterator[Any]:
        """Call the model with several requests, on the thread; give the outcome of each."""
        former = self._process
        if former is not None and (former.has_ended or former.spoilt is not None):
            self._end_turn()  # the call before, of the same turn, has cost its process
            self._runner.wait_for_process(self.place)
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
            process.cancel(request.key)

    def _end_turn(self) -> None:
        """End it: the process lets go of the request, or is replaced. On the thread, if that takes time."""
        process = self._process
        if process is not None:
            process.release(self._runner.ends.grace)
            with self._lock:  # from here on no timer ends it
                self._process = None
        self.request.on_cancel = None
        if self._timers:
            with suppress(RuntimeError):  # the loop is closed
                self.request.loop.call_soon_threadsafe(self._call_off_the_end)
        self._runner.make_good(self.place)

    def _cancelled(self) -> None:
        """On the event loop: nobody waits any more. A model that does not see it is killed in the end."""
        process, ends = self._process, self._runner.ends
        if process is None:
            return
        process.cancel(self.request.key)
        left = self.request.remaining()
        why = "deadline"
        if ends.kill_abandoned and left != 0.0:
            left, why = 0.0, "abandoned"
        if left is not None:
            loop = self.request.loop
            term = left + ends.grace + _STACKS_SECONDS
            self._timers = [
                loop.call_later(left + ends.grace, self._give_up, why),
                loop.call_later(term, self._kill, signal.SIGTERM),
                loop.call_later(term + TERM_SECONDS, self._kill, signal.SIGKILL),
            ]

    def _give_up(self, why: str) -> None:
        with self._lock:
            process = self._process
            if process is None:
                return
            if process.spoilt is None:
                with about(self.request):
                    logger.warning(
                        "model %s did not come back (%s): its process is ended, after it was told to write "
                        "the stacks of its threads to standard error",
                        self._runner.name,
                        why,
                    )
                process.spoilt = why
                process.tell_stacks()

    def _kill(self, number: int) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill(number)

    def _call_off_the_end(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


class ProcessSlot(HostSlot):
    """A turn at a model process, for which a thread stands in.

    A light request needs the thread only where something is out of the ordinary: else the event loop sends
    the call and takes the answer.
    """

    _study: Study | None = None  # of a light request
    _asked: ModelProcess | None = None  # which has the call

    async def compute(self, study: Study) -> Any:
        """Call the model and check its result, in the process."""
        spool: Any = study.spool
        if spool.in_memory and spool.size <= _LIGHT:
            self._study = study
        return await super().compute(study)

    @property
    def begins_on_loop(self) -> bool:
        """Whether the request is light."""
        return self._study is not None

    def begin_on_loop(self, place: int) -> None:
        """Have the call sent on the event loop. From any thread."""
        loop = self.request.loop
        if _runs_here(loop):
            self._send(place)
            return
        try:
            loop.call_soon_threadsafe(self._send, place)
        except RuntimeError:  # it is closed
            self._line.go_on(self, place)

    def _send(self, place: int) -> None:
        self.begin_at(place)
        study = self._study
        assert study is not None
        try:
            process = self._begin_call()
            assert isinstance(process, ModelProcess)
            self.request.raise_if_cancelled()
            process.ask(
                self.request, study.json_input, study.inputs, study.input_hash, study.spool, wait=False
            )
            self._asked = process
            self.request.loop.add_reader(process.fileno(), self._look, process)
        except Exception:  # the thread meets it again, and fails the call with it
            self._line.go_on(self, place)

    def _look(self, process: ModelProcess) -> None:
        """Take the answer where it is a whole result, and the process good; else the thread does."""
        self.request.loop.remove_reader(process.fileno())
        try:
            is_plain = process.has_plain_answer() and process.spoilt is None
        except Exception:  # the thread meets it again, and fails the call with it
            is_plain = False
        job = self._job
        if job is None or not is_plain:
            self._line.go_on(self, self.place)
            return
        outcome: Any
        try:
            outcome = process.answer()
            self._runner.call_succeeded()
        except Exception as error:
            outcome = error
        job.ended = True
        self.release()
        self._end_turn()
        self._line.over(self, self.place)
        job.settle(outcome)

    # On the thread, what is left of it

    def _begin_call(self) -> Host:
        return self._asked or super()._begin_call()

    def _call(self, process: Host, study: Study) -> InferenceResponse:
        return super()._call(process, study) if self._asked is None else self._asked.answer()


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
