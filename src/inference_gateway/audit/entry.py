"""What the audit log says of a request: numbers, hashes and who asked. Nothing of the study itself."""

from __future__ import annotations

from typing import Any

from inference_gateway.audit.times import in_words
from inference_gateway.execution.model_info import ModelInfo
from inference_gateway.telemetry.record import Record

_LONGEST = 1000  # characters of what comes from outside: a certificate's subject


def entry_of(record: Record, ended: float, info: ModelInfo) -> dict[str, Any]:
    """Return the audit record of a request that has ended, at `ended` by `time.time()`."""
    subject = record.caller_subject
    return {
        "event": "inference",
        "time": in_words(ended),
        "seconds": round(record.seconds, 6),
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "route": record.route,
        "model": {"name": info.name, "version": info.version, "digest": info.digest},
        "caller": {"certificate": subject and subject[:_LONGEST], "key": record.caller_key},
        "outcome": outcome_of(record),
        "status": record.status,
        "received_bytes": record.received,
        "sent_bytes": record.sent,
        "parts": record.parts,
        "elements": record.elements,
        "input_hash": record.tags.get("input_hash"),
        "output_hash": record.tags.get("output_hash"),
    }


def outcome_of(record: Record) -> str:
    """Return what came of a request, in one word or two."""
    if record.status == 200:
        return "answered"
    if record.status == 0:
        return "cut off"
    if record.refused_by_model:
        return "refused by model"
    return {500: "failed", 504: "timed out"}.get(record.status, "refused")
