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
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)

from inference_gateway.tagged_logger import TaggedLogger

logger = logging.getLogger("inference_gateway")

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


class Metrics:
    """The Prometheus metrics of one gateway, in a registry of their own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.worker = 0  # its number, where several processes answer on one port
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "gateway_requests",
            "Inference requests that have ended; status 0: the client left or the answer was cut",
            ["route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "gateway_request_seconds",
            "Time of an inference request by phase",
            ["route", "phase"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.received = Counter(
            "gateway_received_bytes", "Bytes of request bodies", ["route"], registry=self._registry
        )
        self._gauges = {
            name: Gauge(f"gateway_{name}", text, ["route"] if by_route else [], registry=self._registry)
            for name, text, by_route in (
                ("uploads", "Bodies being received", False),
                ("spool_bytes", "Bytes in spool files", False),
                ("queued", "Requests admitted but not yet in a model slot", True),
                ("slots_taken", "Model slots in use, orphaned ones too", True),
                ("orphaned", "Model calls whose caller is gone or whose time is up", True),
            )
        }

    def gauge(self, name: str, value: Callable[[], float], route: str | None = None) -> None:
        """Lets gauge `name` tell `value()` whenever it is scraped."""
        gauge = self._gauges[name]
        (gauge if route is None else gauge.labels(route)).set_function(value)

    def text(self) -> bytes:
        """The exposition format, as Prometheus scrapes it."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """For Prometheus's library: what there is, of which worker."""
        for metric in self._registry.collect():
            if self.worker:
                metric.samples = [
                    sample._replace(labels={**sample.labels, "worker": str(self.worker)})
                    for sample in metric.samples
                ]
            yield metric


class RouteMetrics:
    """The metrics of one route: a label is looked up once."""

    def __init__(self, metrics: Metrics, route: str) -> None:
        self.route = route
        self._received = metrics.received.labels(route)
        self._requests = cache(partial(metrics.requests.labels, route))
        self._seconds = cache(partial(metrics.seconds.labels, route))

    def count(self, record: Record) -> None:
        """A request has ended."""
        self._requests(record.status).inc()
        self._received.inc(record.received)
        for phase, seconds in record.phases.items():
            self._seconds(phase).observe(seconds)


class Record:
    """What is known of one inference request, for its log line and the metrics. Status 0: no answer."""

    def __init__(self, request_id: str, route: str) -> None:
        self.request_id = request_id
        self.status = 0
        self.received = 0
        self.phases: dict[str, float] = {}
        self.log = TaggedLogger(logger)
        self.log.add_tags({"request_id": request_id, "route": route})
        self._begun = self._lap = time.monotonic()

    def phase(self, name: str, end: float | None = None) -> None:
        """Phase `name` has ended: at `end`, by `time.monotonic()`, or now."""
        end = time.monotonic() if end is None else end
        self.phases[name] = end - self._lap
        self._lap = end

    def write(self) -> None:
        """Writes the request's line."""
        if self.log.isEnabledFor(logging.INFO):
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
