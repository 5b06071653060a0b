"""A request's wait: for its turn, and then for the end of its call, each with a time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from inference_gateway.errors import ModelTimeout, Unavailable
from inference_gateway.execution.current_request import CurrentRequest


class Waiting:
    """One request that waits for its turn, and then for its call.

    `queue_timeout`, `timeout`: seconds of waiting for the turn, and of the turn, or None. `on_start` is
    called on the thread that begins the turn. `started`: when that was, by `time.monotonic()`. `tags`: for
    the request's log line.
    """

    tags: Mapping[str, Any] = {}

    def __init__(
        self,
        request: CurrentRequest,
        queue_timeout: float | None = None,
        timeout: float | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        self.request = request
        self.started: float | None = None
        self._timeout = timeout
        self._queue_end = None if queue_timeout is None else time.monotonic() + queue_timeout
        self._on_start = on_start
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Begin the turn: its deadline counts from here. On any thread."""
        started = time.monotonic()
        if self._timeout is not None:
            self.request.deadline = started + self._timeout
        self.started = started
        if self._on_start is not None:
            self._on_start()

    def stack(self) -> str:
        """Where the call is now, for the log; empty where it is not known."""
        return ""

    def _arm(self, future: asyncio.Future[Any]) -> None:
        """Set the timer to when it must be looked whether the turn has begun, or the call ended."""
        if self.started is not None:
            left = self.request.remaining()
        else:
            left = self._timeout
            if self._queue_end is not None:
                left = min(self._queue_end - time.monotonic(), inf if left is None else left)
        self._timer = None if left is None else self.request.loop.call_later(left, self._check, future)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self, future: asyncio.Future[Any]) -> None:
        if future.done():
            return
        if self.started is None and self._queue_end is not None and time.monotonic() >= self._queue_end:
            busy = "the model was busy for too long: try again later"
            future.set_exception(Unavailable(busy, kind="queue_timeout"))
        elif self.started is not None and self.request.remaining() == 0:
            future.set_exception(ModelTimeout(self.stack()))
        else:
            self._arm(future)
