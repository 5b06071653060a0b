"""Prometheus metrics: plain counts, put together when they are scraped."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from math import inf

from prometheus_client import CONTENT_TYPE_LATEST, Metric, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from inference_gateway.telemetry.record import Record

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_BOUNDS = [*(str(float(bound)) for bound in _BUCKETS), "+Inf"]

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

_GAUGES = {
    "uploads": "Bodies being received",
    "spool_bytes": "Bytes in spool files",
    "queued": "Requests admitted but not yet in a model slot",
    "slots_taken": "Model slots in use, orphaned ones too",
    "orphaned": "Model calls whose caller is gone or whose time is up",
    "model_process_memory_bytes": "Resident bytes of a model's processes",
    "model_actors": "Ray actors of a model, those that are being set up too; the same for all its gateways",
    "model_setup_seconds": "Time that the last model process took to be set up",
}


class Metrics:
    """The Prometheus metrics of one gateway: all of them are put together when they are scraped.

    An observer of its requests' records.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.worker = 0  # its number, where several processes answer on one port
        self.sources: list[Callable[[], Iterable[Metric]]] = []  # of what others count
        self._routes: dict[str, _RouteCounts] = {}
        self._gauges: list[tuple[str, str | None, Callable[[], float]]] = []
        self._restarts: dict[str, Callable[[], Mapping[str, int]]] = {}
        self._batches: dict[str, Callable[[], Mapping[int, int]]] = {}

    def gauge(self, name: str, value: Callable[[], float], route: str | None = None) -> None:
        """Lets gauge `name` tell `value()` whenever it is scraped."""
        self._gauges.append((name, route, value))

    def add_route(self, route: str) -> None:
        """Count the requests of `route`, from 0 on."""
        self._routes[route] = _RouteCounts()

    def restarts(self, route: str, counts: Callable[[], Mapping[str, int]]) -> None:
        """Lets `counts()` tell how many model processes of `route` were replaced, by reason."""
        self._restarts[route] = counts

    def batches(self, route: str, counts: Callable[[], Mapping[int, int]]) -> None:
        """Lets `counts()` tell how many calls of the model of `route` had so many requests, by that size."""
        self._batches[route] = counts

    def request_ended(self, record: Record, /) -> None:
        """Count a request, what has come of its body, and the seconds of its phases."""
        route = self._routes[record.route]
        for phase, seconds in record.phases.items():
            route.phases[phase].observe(seconds)
        route.requests[record.status] += 1
        route.received += record.received
        route.refused += record.refused_by_model

    def text(self) -> bytes:
        """Return the exposition format, as Prometheus scrapes it."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """For Prometheus's library: what there is, of which worker."""
        others = (metric for source in self.sources for metric in source())
        for metric in (*self._counted(), *self._told(), *others):
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
        refused = CounterMetricFamily(
            "gateway_model_refusals", "Requests that the model itself refused", labels=["route"]
        )
        received = CounterMetricFamily("gateway_received_bytes", "Bytes of request bodies", labels=["route"])
        for name, route in self._routes.items():
            for status, count in route.requests.items():
                requests.add_metric([name, str(status)], count)
            for phase, durations in route.phases.items():
                seconds.add_metric([name, phase], durations.buckets(), durations.sum)
            received.add_metric([name], route.received)
            refused.add_metric([name], route.refused)
        return requests, seconds, received, refused

    def _told(self) -> Iterator[Metric]:
        if self._restarts:
            family = CounterMetricFamily(
                "gateway_model_restarts", "Model processes that were replaced", labels=["route", "reason"]
            )
            for route, counts in self._restarts.items():
                for reason, count in counts().items():
                    family.add_metric([route, reason], count)
            yield family
        if self._batches:
            yield self._batch_sizes()
        yield from self._gauge_families()

    def _batch_sizes(self) -> Metric:
        family = HistogramMetricFamily(
            "gateway_batch_size", "Requests of one call of a model", labels=["route"]
        )
        for route, counts in self._batches.items():
            found = dict(counts())  # the model's threads go on counting
            buckets = [(_bound(most), _up_to(most, found)) for most in (*_SIZES, inf)]
            family.add_metric([route], buckets, sum(size * count for size, count in found.items()))
        return family

    def _gauge_families(self) -> Iterator[Metric]:
        for name, text in _GAUGES.items():
            told = [(route, value()) for gauge, route, value in self._gauges if gauge == name]
            if not told:
                continue
            by_route = any(route is not None for route, _ in told)
            family = GaugeMetricFamily(f"gateway_{name}", text, labels=["route"] if by_route else [])
            for route, value in told:
                family.add_metric([] if route is None else [route], value)
            yield family


def _bound(most: float) -> str:
    return "+Inf" if most == inf else str(float(most))


def _up_to(most: float, counts: Mapping[int, int]) -> int:
    return sum(count for size, count in counts.items() if size <= most)


class _RouteCounts:
    """What has been counted of one route. Only the event loop counts, so there is no lock."""

    def __init__(self) -> None:
        self.received = 0
        self.refused = 0
        self.requests: defaultdict[int, int] = defaultdict(int)  # by status
        self.phases: defaultdict[str, _Durations] = defaultdict(_Durations)


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
