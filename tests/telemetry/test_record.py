"""A request's record, and that its observers hear of its end."""

import json
import logging
from types import SimpleNamespace

import pytest

from inference_gateway.telemetry.identity import TraceContext
from inference_gateway.telemetry.record import Record
from tests.harness.log import LogCapture


class Listening:
    """An observer that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def request_ended(self, record: Record, /) -> None:
        self.heard.append((record.request_id, record.status, record.seconds, dict(record.phases)))


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that tells these times, one after the other."""
    times = iter([10.0, 12.0, 12.5, 20.0, 20.25])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr("inference_gateway.telemetry.record.time", clock)


@pytest.mark.usefixtures("_clock")
def test_a_phase_lasts_from_the_end_of_the_one_before() -> None:
    record = Record("id", "/")
    for name in ("upload", "queue", "model"):
        record.phase(name)
    assert record.phases == {"upload": 2.0, "queue": 0.5, "model": 7.5}


@pytest.mark.usefixtures("_clock")
def test_every_observer_hears_of_the_end() -> None:
    observers = [Listening(), Listening()]
    record = Record("id", "/", observers)
    record.phase("upload")
    record.phase("queue", 12.25)
    record.status = 200
    record.end()
    for observer in observers:
        assert observer.heard == [
            ("id", 200, 2.5, {"upload": 2.0, "queue": 0.25}),
        ]


@pytest.mark.usefixtures("_clock")
def test_server_timing_tells_what_is_known_by_then() -> None:
    record = Record("id", "/")
    assert record.server_timing == b"total;dur=2000.000"
    record.phase("upload", 10.25)
    record.phase("queue", 10.25 + 2**-12)
    assert record.server_timing == b"upload;dur=250.000, queue;dur=0.244, total;dur=2500.000"


def test_lines_about_a_request_are_under_its_tags(log: LogCapture) -> None:
    trace = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    record = Record("id-1", "/a", (), trace)
    record.tags["input_hash"] = "abc"
    record.log.log(logging.WARNING, "%d of them", 3)
    [line] = log.lines
    level, _, rest = line.partition(" inference_gateway ")
    tags, _, text = rest.partition(" - ")
    assert (level, text) == ("WARNING", "3 of them")
    ids = {"trace_id": trace.trace_id, "span_id": trace.span_id}
    assert json.loads(tags) == {"input_hash": "abc", "request_id": "id-1", "http.route": "/a", **ids}
    assert (record.trace_id, record.span_id) == (trace.trace_id, trace.span_id)


def test_a_record_without_a_trace_has_one_of_its_own() -> None:
    first, second = Record("id-1", "/a"), Record("id-1", "/a")
    assert len(first.trace_id) == 32
    assert len(first.span_id) == 16
    assert (first.trace_id, first.span_id) != (second.trace_id, second.span_id)
