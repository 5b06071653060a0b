"""The log's line of each request that has ended."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.record import Record
from inference_gateway.telemetry.tagged_logger import TaggedMessage


class RequestLines:
    """An observer of records that writes one line for each request."""

    def phase_ended(self, record: Record, phase: str, begun: float, ended: float, /) -> None:
        """The line comes at the end."""

    def request_ended(self, record: Record, /) -> None:
        """Writes the line; in JSON each number of it is a field of its own."""
        if logger.isEnabledFor(logging.INFO):
            phases = ", ".join(f"{phase} {seconds:.3f}" for phase, seconds in record.phases.items())
            logger.info(_RequestLine(record), record.status, record.received, record.seconds, phases)


class _RequestLine(TaggedMessage):
    """The message. Its fields are put together only where a line has them."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        super().__init__(record.tags, "status %d, %d bytes received, %.3f s (%s)", has_args=True)
        self._record = record

    @property
    def fields(self) -> Mapping[str, Any]:
        """Status, sizes, and seconds of the whole and of each phase."""
        record = self._record
        return {
            "status": record.status,
            "received_bytes": record.received,
            "sent_bytes": record.sent,
            "seconds": round(record.seconds, 6),
            **{f"{phase}_seconds": round(seconds, 6) for phase, seconds in record.phases.items()},
        }
