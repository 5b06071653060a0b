"""The log's line of each request that has ended."""

import json
import logging
import time
from types import SimpleNamespace

import pytest

from inference_gateway.telemetry.record import Record
from inference_gateway.telemetry.request_lines import RequestLines
from inference_gateway.telemetry.tagged_logger import TaggedMessage
from tests.harness.log import LogCapture

FIELDS = {
    "http.response.status_code": 200,
    "http.request.body.size": 42,
    "http.response.body.size": 7,
    "seconds": 10.25,
    "upload_seconds": 2.0,
    "queue_seconds": 0.5,
    "model_seconds": 7.5,
}


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    """A request that has ended, by a clock that tells these times, one after the other."""
    times = iter([10.0, 12.0, 12.5, 20.0, 20.25])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr("inference_gateway.telemetry.record.time", clock)
    made = Record("id-1", "/a", [RequestLines()])
    for name in ("upload", "queue", "model"):
        made.phase(name)
    made.status, made.received, made.sent = 200, 42, 7
    made.tags["input_hash"] = "abc"
    return made


def test_the_line(record: Record, log: LogCapture) -> None:
    record.end()
    [line] = log.lines
    tags, _, message = line.removeprefix("INFO inference_gateway ").partition(" - ")
    ids = {"trace_id": record.trace_id, "span_id": record.span_id}
    assert json.loads(tags) == {
        "input_hash": "abc",
        "request_id": "id-1",
        "http.route": "/a",
        **ids,
        **FIELDS,
    }
    assert message == "status 200"


def test_the_fields(record: Record, log: LogCapture) -> None:
    record.end()
    [line] = log.records
    assert isinstance(line.msg, TaggedMessage)
    assert line.msg.fields == FIELDS


def test_a_request_without_an_answer_has_no_status_code(record: Record, log: LogCapture) -> None:
    record.status = 0
    record.end()
    [line] = log.records
    assert isinstance(line.msg, TaggedMessage)
    assert line.msg.fields.keys() == FIELDS.keys() - {"http.response.status_code"}
    assert log.lines[0].endswith(" - status 0")


def test_the_log_record_is_as_the_library_makes_it(log: LogCapture) -> None:
    """The first and the second: each has a time of its own, and all else."""
    lines = RequestLines()
    begin = time.time()
    for _ in range(2):
        Record("id-1", "/a", [lines]).end()
    by_library = logging.LogRecord("inference_gateway", logging.INFO, __file__, 0, "", (), None)
    first, second = log.records
    assert second.msg is not first.msg
    assert begin <= first.created <= second.created <= by_library.created
    varying = {"msg", "created", "msecs", "relativeCreated", "pathname", "filename", "module"}
    for made in log.records:
        assert type(made) is logging.LogRecord
        assert vars(made).keys() >= vars(by_library).keys()
        assert {name: vars(made)[name] for name in vars(by_library).keys() - varying} == {
            name: value for name, value in vars(by_library).items() if name not in varying
        }
        assert made.msecs == int((made.created - int(made.created)) * 1000)
        passed = by_library.relativeCreated - made.relativeCreated
        assert passed == pytest.approx((by_library.created - made.created) * 1000, abs=1)


def test_no_line_where_nobody_asked_for_it(record: Record, log: LogCapture) -> None:
    logging.getLogger("inference_gateway").setLevel(logging.WARNING)  # the capture puts it back
    record.end()
    assert log.lines == []
