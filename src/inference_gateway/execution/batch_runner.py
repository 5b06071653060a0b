"""Requests that wait for the same model, called together.

A batch is made on the model's thread, when its turn has come, of those that wait then: a full one goes at
once, and with fewer the thread waits for more until the first of them has waited `max_wait`. While the slot
is busy requests gather, and nobody waits any longer than without batches.

What a request is promised, it is promised alone: its deadline counts from when it came into a batch that is
being made, its cancellation leaves the others alone, its result is checked by itself. Where the call as a
whole fails, each request is called again, alone, once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import inf
from typing import Any, Protocol

from inference_gateway.errors import UnusableModel
from inference_gateway.execution.batch_slot import BatchSlot, BatchTurn, drop
from inference_gateway.execution.current_request import Request
from inference_gateway.execution.job import that_travels
from inference_gateway.execution.line import Load
from inference_gateway.execution.model_info import ModelInfo
from inference_gateway.execution.process.frames import MAX_DESCRIPTORS
from inference_gateway.execution.runner import Runner
from inference_gateway.telemetry.context import work_for
from inference_gateway.telemetry.identity import TraceContext, new_request_id

logger = logging.getLogger("inference_gateway")


class TurnRunner(Runner, Protocol):
    """A `Runner` whose turns take several requests."""

    def slot(
        self,
        request_id: str,
        on_start: Callable[[], None] | None = None,
        trace: TraceContext | None = None,
    ) -> Any:
        """Return a `ModelSlot` that is a `BatchTurn`, too."""
        ...


class BatchRunner:
    """A `Runner` that calls the model of `runner` with up to `max_size` requests at once.

    `max_wait`: seconds that a free slot waits for more of them. `timeout`, `queue_timeout`: of each request,
    seconds or None. Raises `UnusableModel` for limits that cannot be kept.
    """

    def __init__(
        self,
        runner: TurnRunner,
        *,
        max_size: int,
        max_wait: float,
        timeout: float | None,
        queue_timeout: float | None,
    ) -> None:
        if not 1 <= max_size <= MAX_DESCRIPTORS:  # a process gets one for each request
            raise UnusableModel(f"max_batch_size is at least 1 and at most {MAX_DESCRIPTORS}")
        if not 0 <= max_wait < min(timeout or inf, threading.TIMEOUT_MAX):
            raise UnusableModel("max_batch_wait is at least 0 and less than the time limit of a call")
        self.runner = runner
        self.sizes: Counter[int] = Counter()  # how many calls had so many requests
        self._max_size = max_size
        self._max_wait = max_wait
        self._limits: dict[str, Any] = {"timeout": timeout, "queue_timeout": queue_timeout}
        self._changed = threading.Condition()  # its lock is held for moments only
        self._waiting: OrderedDict[BatchSlot, None] = OrderedDict()
        self._turns: set[BatchTurn] = set()  # in line
        self._collecting = 0  # turns that have begun, and wait for more requests
        self._unsettled: dict[BatchTurn, set[BatchSlot]] = {}  # who waits for a call that goes on

    @property
    def route(self) -> str:
        """The route of the model."""
        return self.runner.route

    @property
    def name(self) -> str:
        """The name of the model, for the log."""
        return self.runner.name

    @property
    def model_info(self) -> ModelInfo | None:
        """What the model says it is."""
        return self.runner.model_info

    @property
    def needs_set_up(self) -> bool:
        """Whether `set_up` takes any time."""
        return self.runner.needs_set_up

    @property
    def waiting(self) -> int:
        """Requests that are in no batch yet."""
        return len(self._waiting)

    @property
    def readiness(self) -> Load:
        """How busy it is; a batch is one turn."""
        return self.runner.readiness

    async def set_up(self) -> None:
        """Make the model ready to be called. Raises `SetupFailed`."""
        await self.runner.set_up()

    async def tear_down(self) -> None:
        """End the model."""
        await self.runner.tear_down()

    def close(self) -> None:
        """End what can be ended of a model that is still busy."""
        self.runner.close()

    async def lost(self) -> str:
        """Wait until the model is gone for good, and say why."""
        return await self.runner.lost()

    def slot(
        self,
        request_id: str,
        on_start: Callable[[], None] | None = None,
        trace: TraceContext | None = None,
    ) -> BatchSlot:
        """Return a place in a batch for one request. `on_start` is called when it is in one being made."""
        request = Request(request_id, self.route, trace=trace)
        return BatchSlot(self, request, on_start=on_start, **self._limits)

    # On the event loop

    def join(self, slot: BatchSlot) -> None:
        """Lines a request up, and asks for one more turn where those in line cannot take it.

        Raises `Unavailable` where the system has no thread for it.
        """
        with self._changed:
            self._waiting[slot] = None
            self._begin_reached()
            self._changed.notify_all()
            turns = len(self._turns) + self._collecting
            if len(self._waiting) <= self._max_size * turns:
                return
            turn: BatchTurn = self.runner.slot(new_request_id())
            self._turns.add(turn)
        try:
            turn.start(self._serve, turn)
        except BaseException:
            with self._changed:
                self._turns.discard(turn)
            turn.release()
            raise

    def leave(self, slot: BatchSlot) -> None:
        """Nobody waits for this request any more. A call that nobody waits for is told so, or not made."""
        unneeded: list[BatchTurn] = []
        with self._changed:
            turn = slot.turn
            if slot in self._waiting:
                del self._waiting[slot]
                self._changed.notify_all()
                if not self._waiting:
                    unneeded = [*self._turns]
                    self._turns.clear()
            elif turn is not None and slot in self._unsettled.get(turn, ()):
                self._unsettled[turn].discard(slot)
                slot.request.cancel()
                turn.tell_cancelled(slot.request)
                if not self._unsettled[turn]:
                    unneeded = [turn]
        for turn in unneeded:
            turn.release()

    # On the thread of a turn

    def _serve(self, turn: BatchTurn) -> None:
        """Take the whole turn: make a batch, call the model, end the turn."""
        try:
            with ExitStack() as spools:
                batch = self._collect(turn, spools)
                if batch:
                    self._call(turn, batch)
        finally:
            with self._changed:
                self._unsettled.pop(turn, None)
            turn.release()

    def _collect(self, turn: BatchTurn, spools: ExitStack) -> list[BatchSlot]:
        """Wait for requests and take them; hold their spools."""
        with self._changed:
            if turn not in self._turns:  # nobody was left; who comes now has asked for another turn
                return []
            self._turns.discard(turn)
            self._collecting += 1
            while (left := self._time_left()) > 0:
                self._begin_reached()
                self._changed.wait(left)
            self._begin_reached()
            self._collecting -= 1
            count = min(self._max_size, len(self._waiting))
            batch = [self._waiting.popitem(last=False)[0] for _ in range(count)]
            self._unsettled[turn] = set(batch)
            tags = {"batch": turn.request.request_id, "batch_size": count}
            for slot in batch:
                slot.turn, slot.tags = turn, tags
                slot.request.device = turn.request.device
                spools.enter_context(slot.study.spool)
            return batch

    def _time_left(self) -> float:
        """Seconds that a batch may still wait for more requests."""
        if not self._waiting or len(self._waiting) >= self._max_size:
            return 0.0
        return next(iter(self._waiting)).joined + self._max_wait - time.monotonic()

    def _begin_reached(self) -> None:
        """Begin the turn of those whom the batches that are being made will take."""
        for slot, _ in zip(self._waiting, range(self._max_size * self._collecting), strict=False):
            if slot.started is None:
                slot.begin()

    def _call(self, turn: BatchTurn, batch: Sequence[BatchSlot]) -> None:
        """Call the model with all of them; where that fails, with each alone."""
        try:
            self._call_together(turn, batch)
        except BaseException as error:
            if len(batch) == 1:
                self._settle(batch[0], that_travels(error))
                return
            left = [slot for slot in batch if self._is_wanted(slot)]
            if left:
                logger.warning(
                    "model %s failed for a batch of %d requests: each is called again, alone",
                    self.name,
                    len(batch),
                    exc_info=error.__cause__ or error,
                )
        else:
            return
        for slot in left:
            if self._is_wanted(slot):
                self._call(turn, [slot])

    def _call_together(self, turn: BatchTurn, batch: Sequence[BatchSlot]) -> None:
        self._name_the_call(turn, batch)
        deadlines = [slot.request.deadline for slot in batch if slot.request.deadline is not None]
        turn.request.deadline = max(deadlines, default=None)
        with self._changed:
            self.sizes[len(batch)] += 1
        outcomes = turn.together([(slot.request, slot.study) for slot in batch])
        for slot, outcome in zip(batch, outcomes, strict=True):
            self._settle(slot, outcome)

    def _name_the_call(self, turn: BatchTurn, batch: Sequence[BatchSlot]) -> None:
        """Give the call a place in a trace: of the first request whose spans are recorded, if any's are."""
        traces = [slot.request.trace for slot in batch]
        turn.request.trace = next((trace for trace in traces if trace is not None and trace.sampled), None)
        work_for(turn.request)

    def _is_wanted(self, slot: BatchSlot) -> bool:
        with self._changed:
            assert slot.turn is not None
            return slot in self._unsettled[slot.turn]

    def _settle(self, slot: BatchSlot, outcome: Any) -> None:
        with self._changed:
            assert slot.turn is not None
            wanted = self._unsettled[slot.turn]
            is_wanted = slot in wanted
            wanted.discard(slot)
        if is_wanted:
            slot.settle(outcome)
        else:
            drop(outcome)
