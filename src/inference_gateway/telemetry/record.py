"""What is known of one request, for its log line and the metrics."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.tagged_logger import TaggedLogger


def new_request_id() -> str:
    """A fresh random id, 32 hexadecimal digits: the answer, the log and `current_request()` know a request
    by it.
    """
    if not _ids:  # a hundred at a time: asking the kernel costs more than the rest of a small request's log
        digits = os.urandom(16 * 128).hex()
        _ids.extend(digits[start : start + 32] for start in range(0, len(digits), 32))
    return _ids.pop()


_ids: list[str] = []
os.register_at_fork(after_in_child=_ids.clear)


class Record:
    """What is known of one inference request, for its log line and the metrics. Status 0: no answer."""

    def __init__(self, request_id: str, route: str) -> None:
        self.request_id = request_id
        self.status = 0
        self.received = 0
        self.phases: dict[str, float] = {}
        self.tags: dict[str, Any] = {"request_id": request_id, "route": route}
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
        self.phases[name] = end - self._lap
        self._lap = end

    def write(self) -> None:
        """Writes the request's line."""
        if logger.isEnabledFor(logging.INFO):
            self.log.info(
                "status %d, %d bytes received, %.3f s (%s)",
                self.status,
                self.received,
                time.monotonic() - self._begun,
                ", ".join(f"{name} {seconds:.3f}" for name, seconds in self.phases.items()),
            )
