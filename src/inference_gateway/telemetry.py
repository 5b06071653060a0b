"""What the gateway tells about itself: log lines and Prometheus metrics.

No line and no label has anything of a request in it but hashes, sizes, counts, routes and durations.
"""

from __future__ import annotations

import json
import logging
import logging.config
import sys
import time
import warnings
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, Literal

from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from inference_gateway.tagged_logger import TaggedLogger

logger = logging.getLogger("inference_gateway")

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_BOUNDS = [*(str(float(bound)) for bound in _BUCKETS), "+Inf"]

_GAUGES = {
    "uploads": "Bodies being received",
    "spool_bytes": "Bytes in spool files",
    "queued": "Requests admitted but not yet in a model slot",
    "slots_taken": "Model slots in use, orphaned ones too",
    "orphaned": "Model calls whose caller is gone or whose time is up",
}


class Metrics:
    """The Prometheus metrics of one gateway: all of them are put together when they are scraped."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.worker = 0  # its number, where several processes answer on one port
        self.routes: dict[str, RouteMetrics] = {}
        self._gauges: list[tuple[str, str | None, Callable[[], float]]] = []

    def gauge(self, name: str, value: Callable[[], float], route: str | None = None) -> None:
        """Lets gauge `name` tell `value()` whenever it is scraped."""
        self._gauges.append((name, route, value))

    def text(self) -> bytes:
        """The exposition format, as Prometheus scrapes it."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """For Prometheus's library: what there is, of which worker."""
        for metric in (*self._counted(), *self._told()):
            if self.worker:
                metric.samples = [
                    sample._replace(labels={**sample.labels, "worker": str(self.worker)})
                    for sample in metric.samples
                ]
            yield metric

    def _counted(self) -> tuple[Metric, ...]:
        requests = CounterMetricFamily(
            "gateway_requests",
            "Inference requests that have ended; status 0: the client left or the answer was cut",
            labels=["route", "status"],
        )
        seconds = HistogramMetricFamily(
            "gateway_request_seconds", "Time of an inference request by phase", labels=["route", "phase"]
        )
        received = CounterMetricFamily("gateway_received_bytes", "Bytes of request bodies", labels=["route"])
        for name, route in self.routes.items():
            for status, count in route.requests.items():
                requests.add_metric([name, str(status)], count)
            for phase, durations in route.phases.items():
                seconds.add_metric([name, phase], durations.buckets(), durations.sum)
            received.add_metric([name], route.received)
        return requests, seconds, received

    def _told(self) -> Iterator[Metric]:
        for name, text in _GAUGES.items():
            told = [(route, value()) for gauge, route, value in self._gauges if gauge == name]
            by_route = any(route is not None for route, _ in told)
            family = GaugeMetricFamily(f"gateway_{name}", text, labels=["route"] if by_route else [])
            for route, value in told:
                family.add_metric([] if route is None else [route], value)
            yield family


class RouteMetrics:
    """What has been counted of one route. Only the event loop counts, so there is no lock."""

    def __init__(self, metrics: Metrics, route: str) -> None:
        self.route = route
        self.received = 0
        self.requests: defaultdict[int, int] = defaultdict(int)  # by status
        self.phases: defaultdict[str, _Durations] = defaultdict(_Durations)
        metrics.routes[route] = self

    def count(self, record: Record) -> None:
        """A request has ended."""
        self.requests[record.status] += 1
        self.received += record.received
        for phase, seconds in record.phases.items():
            self.phases[phase].observe(seconds)


class _Durations:
    """A histogram of seconds, without the locks of the library's own (docs/decisions/0009)."""

    def __init__(self) -> None:
        self.sum = 0.0
        self._counts = [0] * len(_BOUNDS)

    def observe(self, seconds: float) -> None:
        self.sum += seconds
        self._counts[bisect_left(_BUCKETS, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound → how many are not above it."""
        return list(zip(_BOUNDS, accumulate(self._counts), strict=True))


class Record:
    """What is known of one inference request, for its log line and the metrics. Status 0: no answer."""

    def __init__(self, request_id: str, route: str) -> None:
        self.request_id = request_id
        self.status = 0
        self.received = 0
        self.phases: dict[str, float] = {}
        self.tags: dict[str, Any] = {"request_id": request_id, "route": route}
        self._begun = self._lap = time.monotonic()

    @property
    def log(self) -> TaggedLogger:
        """For the lines about this request."""
        log = TaggedLogger(logger)
        log.add_tags(self.tags)
        return log

    def phase(self, name: str, end: float | None = None) -> None:
        """Phase `name` has ended: at `end`, by `time.monotonic()`, or now."""
        end = time.monotonic() if end is None else end
        self.phases[name] = end - self._lap
        self._lap = end

    def write(self) -> None:
        """Writes the request's line."""
        if logger.isEnabledFor(logging.INFO):
            self.log.info(
                "status %d, %d bytes received, %.3f s (%s)",
                self.status,
                self.received,
                time.monotonic() - self._begun,
                ", ".join(f"{name} {seconds:.3f}" for name, seconds in self.phases.items()),
            )


class _JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _says_nothing_of_a_patient(record: logging.LogRecord) -> bool:
    """pydicom quotes values of data sets. A filter, since importing pydicom sets its logger's level anew."""
    return record.name.partition(".")[0] != "pydicom"


def configure_logging(log_format: Literal["text", "json"] = "text", level: str = "INFO") -> None:
    """Sets up the process's logging for `inference-gateway serve`: lines on standard error.

    pydicom's own lines and warnings quote values of data sets: its lines are dropped, and no
    Python warning is shown unless `-W` or PYTHONWARNINGS asks for them.
    """
    formatter: dict[str, object] = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    if log_format == "json":
        formatter = {"()": _JsonFormatter}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": formatter},
            "filters": {"privacy": {"()": lambda: _says_nothing_of_a_patient}},
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["privacy"]}
            },
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {"uvicorn.access": {"level": "CRITICAL"}},
        }
    )
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
