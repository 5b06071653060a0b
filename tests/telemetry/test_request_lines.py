"""The log's line of each request that has ended."""

import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from io import StringIO
from types import SimpleNamespace
from typing import Literal

import pytest

from inference_gateway.telemetry.line_writer import LineWriter
from inference_gateway.telemetry.logs import configure_logging
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


@pytest.fixture
def logging_set_up() -> Iterator[Callable[[Literal["text", "json"]], StringIO]]:
    """Sets the process's logging up as `serve` does; its lines go to what is returned."""
    root, before = logging.root, (logging.root.level, logging.root.handlers[:])
    stream = StringIO()

    def set_up(log_format: Literal["text", "json"]) -> StringIO:
        configure_logging(log_format)
        [writer] = root.handlers
        assert isinstance(writer, LineWriter)
        writer._stream = stream
        return stream

    with warnings.catch_warnings():
        yield set_up
    logging.getLogger("uvicorn.access").setLevel(logging.NOTSET)
    root.handlers[0].close()
    root.level, root.handlers[:] = before


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


def test_a_request_without_an_answer_has_no_status_code(record: Record, log: LogCapture) -> None:
    record.status = 0
    record.end()
    [line] = log.records
    assert isinstance(line.msg, TaggedMessage)
    fields = json.loads(line.msg.in_json())
    assert fields.keys() & FIELDS.keys() == FIELDS.keys() - {"http.response.status_code"}
    assert log.lines[0].endswith(" - status 0")


def test_the_names_are_sorted_whatever_they_are(record: Record, log: LogCapture) -> None:
    """As those of every line that a `TaggedLogger` writes."""
    record.tags |= {"z": "ü", "a": [1, None], "{}": {"b": 1.5}, "seconds_": True}
    record.end()
    fields = json.loads(log.lines[0].removeprefix("INFO inference_gateway ").rpartition(" - ")[0])
    assert fields.items() >= {"z": "ü", "seconds_": True}.items()
    assert (fields["a"], fields["{}"]) == ([1, None], {"b": 1.5})
    assert list(fields) == sorted(fields)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_way_past_the_library_writes_the_same_line(
    record: Record, log_format: Literal["text", "json"], logging_set_up: Callable[[str], StringIO]
) -> None:
    """As it is under `serve`; where a second handler listens, the library makes the line."""
    stream = logging_set_up(log_format)
    lines = RequestLines()
    lines.request_ended(record)
    listener = logging.NullHandler()
    logging.root.addHandler(listener)
    lines.request_ended(record)
    logging.root.removeHandler(listener)
    logging.root.handlers[0].flush()
    short, long = (re.sub("[0-9:]{8}[,.][0-9]+", "", line) for line in stream.getvalue().splitlines())
    if log_format == "json":
        short, long = json.loads(short), json.loads(long)
    assert short == long


def test_no_line_where_nobody_asked_for_it(record: Record, log: LogCapture) -> None:
    logging.getLogger("inference_gateway").setLevel(logging.WARNING)  # the capture puts it back
    record.end()
    assert log.lines == []
