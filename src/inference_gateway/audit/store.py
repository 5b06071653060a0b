"""What waits to be written to a disk, and what is said and counted while that cannot be done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from inference_gateway.telemetry.logs import logger

MOST_WAITING = 10_000
"""Records that one place of them keeps in memory; one more is lost, and counted."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between two attempts


class NotWritten(OSError):
    """A disk did not take everything: of what was to be written, the first `written` lie there."""

    def __init__(self, written: int, cause: OSError) -> None:
        super().__init__(cause.errno, cause.strerror or str(cause))
        self.written = written


class Store:
    """One place on a disk for records. `name`: for the log. For one thread; others may read the counts.

    `write` takes records in their order, and raises `NotWritten`.
    """

    def __init__(self, name: str, write: Callable[[Sequence[Any]], None]) -> None:
        self.name = name
        self.written = 0
        self.lost = 0
        self.failing = False
        self._write = write
        self._waiting: deque[Any] = deque()
        self._again = 0.0  # when to try again, by time.monotonic()
        self._pause = _FIRST_PAUSE

    @property
    def waiting(self) -> int:
        """How many are in memory only."""
        return len(self._waiting)

    def add(self, records: Sequence[Any]) -> None:
        """Take records to be written, as many as there is room for."""
        room = MOST_WAITING - len(self._waiting)
        self._waiting.extend(records[:room])
        self.lost += len(records[room:])

    def push(self, *, at_once: bool = False) -> None:
        """Write what waits, unless that has just failed, or `at_once` in any case. Fails in the log only."""
        if not self._waiting or (time.monotonic() < self._again and not at_once):
            return
        try:
            self._write(tuple(self._waiting))
        except NotWritten as error:
            self._drop(error.written)
            self._fail(error)
        else:
            self._drop(len(self._waiting))
            if self.failing:
                logger.warning("%s is written again; %d records are lost so far", self.name, self.lost)
            self.failing, self._pause = False, _FIRST_PAUSE

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
        self.written += count

    def _fail(self, error: NotWritten) -> None:
        if not self.failing:
            logger.error(
                "%s cannot be written (%s): answers go on, records wait in memory, %d at the most",
                self.name,
                error.strerror,
                MOST_WAITING,
            )
        self.failing = True
        self._again = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
