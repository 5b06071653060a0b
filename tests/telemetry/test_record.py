"""A request's record and its log line."""

import json
import logging
from types import SimpleNamespace

import pytest

from inference_gateway.telemetry.record import Record
from tests.harness.log import LogCapture


class TestRecord:
    @pytest.fixture
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A clock that tells these times, one after the other."""
        times = iter([10.0, 12.0, 12.5, 20.0, 20.25])
        clock = SimpleNamespace(monotonic=lambda: next(times))
        monkeypatch.setattr("inference_gateway.telemetry.record.time", clock)

    @pytest.mark.usefixtures("_clock")
    def test_a_phase_lasts_from_the_end_of_the_one_before(self) -> None:
        record = Record("id", "/")
        for name in ("upload", "queue", "model"):
            record.phase(name)
        assert record.phases == {"upload": 2.0, "queue": 0.5, "model": 7.5}

    @pytest.mark.usefixtures("_clock")
    def test_the_line(self, log: LogCapture) -> None:
        record = Record("id-1", "/a")
        for name in ("upload", "queue", "model"):
            record.phase(name)
        record.status, record.received = 200, 42
        record.tags["input_hash"] = "abc"
        record.write()
        [line] = log.lines
        tags, _, message = line.removeprefix("INFO inference_gateway ").partition(" - ")
        assert json.loads(tags) == {"input_hash": "abc", "request_id": "id-1", "route": "/a"}
        assert message == "status 200, 42 bytes received, 10.250 s (upload 2.000, queue 0.500, model 7.500)"

    def test_no_line_where_nobody_asked_for_it(self, log: LogCapture) -> None:
        logger = logging.getLogger("inference_gateway")
        logger.setLevel(logging.WARNING)  # the capture puts it back
        Record("id", "/").write()
        assert log.lines == []
