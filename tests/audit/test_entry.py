"""What a record says: numbers, hashes, who asked; and what came of it."""

import json

import pytest

from inference_gateway import ModelInfo
from inference_gateway.audit.chain import MOST_BYTES, sealed
from inference_gateway.audit.entry import entry_of, outcome_of
from inference_gateway.telemetry.record import Record

INFO = ModelInfo("Lungs", "1.2", "0" * 64)


def test_it_has_what_is_known() -> None:
    record = Record("id", "/lungs")
    record.status, record.received, record.sent, record.parts, record.elements = 200, 10, 20, 3, 1
    record.caller_subject, record.caller_key = "CN=pacs", "0123456789ab"
    record.tags |= {"input_hash": "a", "output_hash": "b", "batch": "c"}
    record.end()
    told = entry_of(record, 1.5, INFO)
    assert next(iter(told)) == "event"
    assert told == {
        "event": "inference",
        "time": "1970-01-01T00:00:01.500000Z",
        "seconds": round(record.seconds, 6),
        "request_id": "id",
        "trace_id": record.trace_id,
        "route": "/lungs",
        "model": {"name": "Lungs", "version": "1.2", "digest": "0" * 64},
        "caller": {"certificate": "CN=pacs", "key": "0123456789ab"},
        "outcome": "answered",
        "status": 200,
        "received_bytes": 10,
        "sent_bytes": 20,
        "parts": 3,
        "elements": 1,
        "input_hash": "a",
        "output_hash": "b",
    }


@pytest.mark.parametrize(
    ("status", "by_model", "outcome"),
    [
        (200, False, "answered"),
        (0, False, "cut off"),
        (422, True, "refused by model"),
        (400, False, "refused"),
        (401, False, "refused"),
        (503, False, "refused"),
        (500, False, "failed"),
        (504, False, "timed out"),
    ],
)
def test_outcomes(status: int, by_model: bool, outcome: str) -> None:
    record = Record("id", "/")
    record.status, record.refused_by_model = status, by_model
    assert outcome_of(record) == outcome


def test_a_line_stays_within_its_bound() -> None:
    record = Record("f" * 32, "/")
    record.caller_subject = "CN=" + 16000 * "\u00e4"
    line, _ = sealed(entry_of(record, 0.0, INFO), 1, "0" * 64)
    assert len(line) < MOST_BYTES
    assert json.loads(line)["caller"]["certificate"].startswith("CN=\u00e4")
