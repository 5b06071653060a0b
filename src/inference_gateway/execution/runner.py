"""One route's model: its threads, its turns, its life cycle."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from inference_gateway.errors import SetupFailed, Unavailable
from inference_gateway.execution.call import run_to_end
from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.slot import Slot


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
