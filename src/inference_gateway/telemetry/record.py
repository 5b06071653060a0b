"""What is known of one request, and the events that its observers hear of."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any, Protocol

from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.tagged_logger import TaggedLogger


def new_request_id() -> str:
    """Return a fresh random id, 32 hexadecimal digits.

    The answer, the log and `current_request()` know a request by it.
    """
    if not _ids:  # a hundred at a time: asking the kernel costs more than the rest of a small request's log
        digits = os.urandom(16 * 128).hex()
        _ids.extend(digits[start : start + 32] for start in range(0, len(digits), 32))
    return _ids.pop()


_ids: list[str] = []
os.register_at_fork(after_in_child=_ids.clear)


class Observer(Protocol):
    """What hears of each request's phases: metrics, log lines. Called on the loop: must not block."""

    def phase_ended(self, record: Record, phase: str, begun: float, ended: float, /) -> None:
        """Hear that a phase is over. Times are of `time.monotonic()`."""
        ...

    def request_ended(self, record: Record, /) -> None:
        """Hear that the request is over, however it went: `record` is complete."""
        ...


class Record:
    """What is known of one inference request; tells its observers when a phase or the request has ended.

    `status` 0: no answer, or none that was whole. `refused_by_model`: it is the model's own refusal.
    `received`, `sent`: bytes of the two bodies. `phases`: seconds of each phase that has ended. `seconds`: of
    the whole, once it has ended. `parts`, `elements`: how many the request and the answer have.
    `caller_subject`, `caller_key`: of the client's certificate, and the first digits of the digest of its
    API key, where the gateway asked for them.
    """

    def __init__(self, request_id: str, route: str, observers: Iterable[Observer] = ()) -> None:
        self.request_id = request_id
        self.route = route
        self.status = 0
        self.refused_by_model = False
        self.received = 0
        self.sent = 0
        self.parts = 0
        self.elements = 0
        self.caller_subject: str | None = None
        self.caller_key: str | None = None
        self.seconds = 0.0
        self.phases: dict[str, float] = {}
        self.tags: dict[str, Any] = {"request_id": request_id, "route": route}
        self._observers = observers
        self._begun = self._lap = time.monotonic()

    @property
    def log(self) -> TaggedLogger:
        """For the lines about this request."""
        log = TaggedLogger(logger)
        log.add_tags(self.tags)
        return log

    def phase(self, name: str, end: float | None = None) -> None:
        """Phase `name` has ended: at `end`, by `time.monotonic()`, or now."""
        end = time.monotonic() if end is None else end
        begun, self._lap = self._lap, end
        self.phases[name] = end - begun
        for observer in self._observers:
            observer.phase_ended(self, name, begun, end)

    def end(self) -> None:
        """Note that the request has ended, and tell the observers."""
        self.seconds = time.monotonic() - self._begun
        for observer in self._observers:
            observer.request_ended(self)
