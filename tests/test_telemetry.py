"""Metrics, the line of each request, and the process's log."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Literal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inference_gateway.telemetry import Metrics, Record, RouteMetrics, configure_logging
from tests.harness.log import LogCapture


def samples(metrics: Metrics) -> dict[str, float]:
    """`name{label=value}` → value, as Prometheus reads it."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def ended(route: str, status: int, received: int = 0, **phases: float) -> Record:
    record = Record("id", route)
    record.status, record.received = status, received
    record.phases.update(phases)
    return record


@pytest.mark.wire("routes: /metrics")
class TestMetrics:
    def test_requests_bytes_and_phases_are_counted_by_route(self) -> None:
        metrics = Metrics()
        route = RouteMetrics(metrics, "/a")
        for status, received in ((200, 100), (200, 50), (413, 7)):
            route.count(ended("/a", status, received, upload=0.02))
        RouteMetrics(metrics, "/b").count(ended("/b", 0))
        found = samples(metrics)
        assert found["gateway_requests_total route=/a status=200"] == 2
        assert found["gateway_requests_total route=/a status=413"] == 1
        assert found["gateway_requests_total route=/b status=0"] == 1
        assert found["gateway_received_bytes_total route=/a"] == 157
        assert found["gateway_received_bytes_total route=/b"] == 0
        assert found["gateway_request_seconds_count phase=upload route=/a"] == 3
        assert found["gateway_request_seconds_sum phase=upload route=/a"] == pytest.approx(0.06)
        assert found["gateway_request_seconds_bucket le=0.01 phase=upload route=/a"] == 0
        assert found["gateway_request_seconds_bucket le=0.03 phase=upload route=/a"] == 3

    @pytest.mark.parametrize("name", ["uploads", "spool_bytes"])
    def test_gauges_of_the_process(self, name: str) -> None:
        metrics, now = Metrics(), [3]
        metrics.gauge(name, lambda: now[0])
        assert samples(metrics)[f"gateway_{name}"] == 3
        now[0] = 4
        assert samples(metrics)[f"gateway_{name}"] == 4

    @pytest.mark.parametrize("name", ["queued", "slots_taken", "orphaned"])
    def test_gauges_of_a_route(self, name: str) -> None:
        metrics = Metrics()
        metrics.gauge(name, lambda: 1, "/a")
        metrics.gauge(name, lambda: 2, "/b")
        found = samples(metrics)
        assert found[f"gateway_{name} route=/a"] == 1
        assert found[f"gateway_{name} route=/b"] == 2

    def test_two_gateways_in_a_process_do_not_share_them(self) -> None:
        one, two = Metrics(), Metrics()
        RouteMetrics(one, "/").count(ended("/", 200))
        assert "gateway_requests_total route=/ status=200" in samples(one)
        assert "gateway_requests_total route=/ status=200" not in samples(two)

    def test_content_type(self) -> None:
        assert Metrics.content_type.startswith("text/plain; version=")


class TestRecord:
    @pytest.fixture
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A clock that tells these times, one after the other."""
        times = iter([10.0, 12.0, 12.5, 20.0, 20.25])
        clock = SimpleNamespace(monotonic=lambda: next(times))
        monkeypatch.setattr("inference_gateway.telemetry.time", clock)

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


@pytest.fixture
def _log_of_its_own() -> Iterator[None]:
    """Puts back what `configure_logging` changes in the process."""
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("pydicom", "pydicom.valuerep", "uvicorn.access"))]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    with warnings.catch_warnings():
        yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate


@pytest.mark.usefixtures("_log_of_its_own")
class TestLogging:
    def configure(self, log_format: Literal["text", "json"] = "text", level: str = "INFO") -> None:
        configure_logging(log_format, level)

    def test_text_goes_to_standard_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure()
        logging.getLogger("inference_gateway.test").info("%d of %d", 1, 2)
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.endswith(" INFO inference_gateway.test: 1 of 2\n")

    def test_json_is_one_object_a_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure("json")
        logger = logging.getLogger("inference_gateway.test")
        logger.info("two\nlines of %s", "ä")
        try:
            raise KeyError("k")
        except KeyError:
            logger.exception("it failed")
        first, second = map(json.loads, capsys.readouterr().err.splitlines())
        assert first["message"] == "two\nlines of ä"
        assert (first["level"], first["logger"]) == ("INFO", "inference_gateway.test")
        assert first.keys() == {"time", "level", "logger", "message"}
        assert second["message"] == "it failed"
        assert second["traceback"].startswith("Traceback (most recent call last)")
        assert second["traceback"].endswith("KeyError: 'k'")

    @pytest.mark.parametrize("log_format", ["text", "json"])
    def test_nothing_of_pydicom_is_shown(
        self, capsys: pytest.CaptureFixture[str], log_format: Literal["text", "json"]
    ) -> None:
        self.configure(log_format, "DEBUG")
        for name in ("pydicom", "pydicom.valuerep"):
            logger = logging.getLogger(name)
            logger.setLevel(logging.DEBUG)  # as importing pydicom, or its debug switch, may do afterwards
            for level in (logging.DEBUG, logging.WARNING, logging.ERROR, logging.CRITICAL):
                logger.log(level, "Invalid value for VR PN: 'SECRET'")
        logging.getLogger("pydicomish").warning("seen")
        assert "SECRET" not in (shown := capsys.readouterr().err)
        assert "seen" in shown

    def test_the_level(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure(level="WARNING")
        logging.getLogger("inference_gateway").info("not this")
        logging.getLogger("inference_gateway").warning("this")
        assert capsys.readouterr().err.endswith("inference_gateway: this\n")

    def test_no_line_for_each_access(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.configure()
        logging.getLogger("uvicorn.access").info("GET /SECRET")
        logging.getLogger("uvicorn.error").info("started")
        assert capsys.readouterr().err.endswith("uvicorn.error: started\n")

    def test_loggers_that_are_there_stay_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        logger = logging.getLogger("somebody.else")
        self.configure()
        logger.warning("still here")
        assert "still here" in capsys.readouterr().err

    @pytest.mark.parametrize(("options", "shown"), [([], False), (["default"], True)])
    def test_python_warnings_are_shown_only_where_asked_for(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        options: list[str],
        shown: bool,
    ) -> None:
        warnings.simplefilter("default")
        monkeypatch.setattr(warnings, "showwarning", lambda *args, **_: print(args[0], file=sys.stderr))
        monkeypatch.setattr(sys, "warnoptions", options)
        self.configure()
        warnings.warn("Invalid value for VR PN: 'SECRET'", UserWarning, stacklevel=1)
        assert ("SECRET" in capsys.readouterr().err) == shown
