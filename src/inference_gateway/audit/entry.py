"""What the audit log says of a request: numbers, hashes and who asked. Nothing of the study itself.

An entry is JSON text, an object that begins with `event`. It is written out here and not by an encoder, which
takes several times as long: with small requests that is time which the event loop waits for.
"""

from __future__ import annotations

import json
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from inference_gateway.audit.times import in_words
from inference_gateway.execution.model_info import ModelInfo
from inference_gateway.telemetry.record import Record

_LONGEST = 1000  # characters of what comes from outside: a certificate's subject


def event_of(event: str, seconds: float, **fields: Any) -> str:
    """Return the entry of something else than a request, at a time by `time.time()`."""
    return json.dumps({"event": event, "time": in_words(seconds), **fields}, separators=(",", ":"))


def entry_of(record: Record, ended: float, info: ModelInfo) -> str:
    """Return the entry of a request that has ended, at `ended` by `time.time()`."""
    elements = max(0, record.sent_parts - 2)  # beside the JSON and the hashes
    subject = record.caller_subject and record.caller_subject[:_LONGEST]
    return (
        f'{{"event":"inference","time":"{in_words(ended)}","seconds":{record.seconds:.6f},'
        f'"request_id":"{record.request_id}","trace_id":"{record.trace_id}",{_model(record.route, info)},'
        f'"caller":{{"certificate":{_text(subject)},"key":{_text(record.caller_key)}}},'
        f'"outcome":"{outcome_of(record)}","status":{record.status},"received_bytes":{record.received},'
        f'"sent_bytes":{record.sent},"parts":{record.received_parts},"elements":{elements},'
        f'"input_hash":{_text(record.tags.get("input_hash"))},'
        f'"output_hash":{_text(record.tags.get("output_hash"))}}}'
    )


def object_of(record: Record) -> str | None:
    """Return the name of the object that a bucket gets for a request: of one that was answered."""
    output_hash = record.tags.get("output_hash")
    return None if output_hash is None else f"{record.tags['input_hash']}:{output_hash}"


def outcome_of(record: Record) -> str:
    """Return what came of a request, in a word or three."""
    if record.status == 200:
        return "answered"
    if record.status == 0:
        return "cut off"
    if record.failure == "model":
        return "refused by model"
    return {500: "failed", 504: "timed out"}.get(record.status, "refused")


def _text(text: str | None) -> str:
    return "null" if text is None else quoted(text)


@lru_cache(maxsize=100)
def _model(route: str, info: ModelInfo) -> str:
    name, version, digest = quoted(info.name), _text(info.version), _text(info.digest)
    return f'"route":{quoted(route)},"model":{{"name":{name},"version":{version},"digest":{digest}}}'
