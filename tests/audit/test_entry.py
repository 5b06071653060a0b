"""What a record says: numbers, hashes, who asked; and what came of it."""

import json

import pytest

from inference_gateway import ModelInfo
from inference_gateway.audit.chain import MOST_BYTES, sealed
from inference_gateway.audit.entry import entry_of, object_of, outcome_of
from inference_gateway.telemetry.record import Record

INFO = ModelInfo("Lungs", "1.2", "0" * 64)


def test_it_has_what_is_known() -> None:
    record = Record("id", "/lungs")
    record.status, record.received, record.sent = 200, 10, 20
    record.received_parts, record.sent_parts = 3, 3  # the JSON, an element, the hashes
    record.caller_subject, record.caller_key = "CN=pacs", "0123456789ab"
    record.tags |= {"input_hash": "a", "output_hash": "b", "batch": "c"}
    record.end()
    told = json.loads(entry_of(record, 1.5, INFO))
    assert next(iter(told)) == "event"
    assert object_of(record) == "a:b"
    assert told == {
        "event": "inference",
        "time": "1970-01-01T00:00:01.500000Z",
        "seconds": pytest.approx(record.seconds, abs=1e-6),
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
    record.status, record.failure = status, "model" if by_model else ""
    assert outcome_of(record) == outcome


def test_what_comes_from_outside_is_quoted() -> None:
    record = Record("id", '/"{kind}')
    record.caller_subject = 'CN="a\\", \u00e4\u2028\n'
    text = entry_of(record, 0.0, ModelInfo('"Lungs"'))
    assert text.isascii()
    told = json.loads(text)
    assert (told["route"], told["model"]["name"]) == ('/"{kind}', '"Lungs"')
    assert told["caller"] == {"certificate": record.caller_subject, "key": None}
    assert told["input_hash"] is told["output_hash"] is None
    assert object_of(record) is None


def test_a_line_stays_within_its_bound() -> None:
    record = Record("f" * 32, "/")
    record.caller_subject = "CN=" + 16000 * "\u00e4"
    line, _ = sealed(entry_of(record, 0.0, INFO), 1, "0" * 64)
    assert len(line) < MOST_BYTES
    assert json.loads(line)["caller"]["certificate"].startswith("CN=\u00e4")
