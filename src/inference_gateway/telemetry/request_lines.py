"""The log's line of each request that has ended."""

from __future__ import annotations

import logging
import time
from typing import Any

from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.record import Record
from inference_gateway.telemetry.tagged_logger import TaggedMessage


class RequestLines:
    """An observer of records that writes one line for each request."""

    def __init__(self) -> None:
        self._first: logging.LogRecord | None = None

    def request_ended(self, record: Record, /) -> None:
        """Log the line: each number of it is a field of its own."""
        if logger.isEnabledFor(logging.INFO):  # without looking for the caller, as `logger.info` does
            logger.handle(self._log_record(RequestMessage(record)))

    def _log_record(self, message: RequestMessage) -> logging.LogRecord:
        """As `LogRecord` makes one; process, thread and file are looked up for the first line only."""
        first = self._first
        if first is None:
            self._first = first = logging.LogRecord(logger.name, logging.INFO, __file__, 0, "", (), None)
        now = time.time()
        made = object.__new__(logging.LogRecord)
        made.__dict__.update(first.__dict__)
        made.msg = message
        made.created = now
        made.msecs = now % 1 * 1000 // 1
        made.relativeCreated = first.relativeCreated + (now - first.created) * 1000
        return made


class RequestMessage(TaggedMessage):
    """The line of a request that has ended, made when a handler asks for it."""

    __slots__ = ("_record",)
    is_settled = True

    def __init__(self, record: Record) -> None:
        self._record = record
        self.tags = record.tags
        self.has_args = False

    @property
    def text(self) -> str:  # type: ignore[override]  # made, not stored
        """The sentence."""
        return f"status {self._record.status}"

    @property
    def fields(self) -> dict[str, Any]:  # type: ignore[override]
        """Its numbers."""
        record = self._record
        return {
            **({"http.response.status_code": record.status} if record.status else {}),
            "http.request.body.size": record.received,
            "http.response.body.size": record.sent,
            "seconds": round(record.seconds, 6),
            **{f"{phase}_seconds": round(seconds, 6) for phase, seconds in record.phases.items()},
        }
