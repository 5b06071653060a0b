"""The log's line of each request that has ended."""

from __future__ import annotations

import logging

from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.record import Record
from inference_gateway.telemetry.tagged_logger import TaggedMessage


class RequestLines:
    """An observer of records that writes one line for each request."""

    def phase_ended(self, record: Record, phase: str, begun: float, ended: float, /) -> None:
        """The line comes at the end."""

    def request_ended(self, record: Record, /) -> None:
        """Writes the line; in JSON each number of it is a field of its own."""
        if not logger.isEnabledFor(logging.INFO):
            return
        fields = {
            "status": record.status,
            "received_bytes": record.received,
            "sent_bytes": record.sent,
            "seconds": round(record.seconds, 6),
            **{f"{phase}_seconds": round(seconds, 6) for phase, seconds in record.phases.items()},
        }
        phases = ", ".join(f"{phase} {seconds:.3f}" for phase, seconds in record.phases.items())
        text = "status %d, %d bytes received, %.3f s (%s)"
        message = TaggedMessage(dict(record.tags), text, has_args=True, fields=fields)
        logger.info(message, record.status, record.received, record.seconds, phases)
