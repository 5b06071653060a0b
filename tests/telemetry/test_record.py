"""A request's record and the events that its observers hear of."""

import logging
from types import SimpleNamespace

import pytest

from inference_gateway.telemetry.record import Record, new_request_id
from tests.harness.log import LogCapture


class Listening:
    """An observer that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def phase_ended(self, record: Record, phase: str, begun: float, ended: float, /) -> None:
        self.heard.append((record.request_id, phase, begun, ended, dict(record.phases)))

    def request_ended(self, record: Record, /) -> None:
        self.heard.append((record.request_id, record.status, record.seconds))


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
def test_every_observer_hears_of_every_phase_and_of_the_end() -> None:
    observers = [Listening(), Listening()]
    record = Record("id", "/", observers)
    record.phase("upload")
    record.phase("queue", 12.25)
    record.status = 200
    record.end()
    for observer in observers:
        assert observer.heard == [
            ("id", "upload", 10.0, 12.0, {"upload": 2.0}),
            ("id", "queue", 12.0, 12.25, {"upload": 2.0, "queue": 0.25}),
            ("id", 200, 2.5),
        ]


@pytest.mark.usefixtures("_clock")
def test_server_timing_tells_what_is_known_by_then() -> None:
    record = Record("id", "/")
    assert record.server_timing == b"total;dur=2000.000"
    record.phase("upload", 10.25)
    record.phase("queue", 10.25 + 2**-12)
    assert record.server_timing == b"upload;dur=250.000, queue;dur=0.244, total;dur=2500.000"


def test_lines_about_a_request_are_under_its_tags(log: LogCapture) -> None:
    record = Record("id-1", "/a")
    record.tags["input_hash"] = "abc"
    record.log.log(logging.WARNING, "%d of them", 3)
    assert log.lines == [
        'WARNING inference_gateway {"input_hash": "abc", "request_id": "id-1", "route": "/a"} - 3 of them'
    ]


def test_request_ids_are_never_the_same() -> None:
    assert len({new_request_id() for _ in range(1000)}) == 1000
