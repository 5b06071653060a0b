"""Prometheus metrics of a gateway, whole wherever they are scraped: those of all workers are added up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from math import inf

from inference_gateway.telemetry import sheets
from inference_gateway.telemetry.families import (
    FAILED,
    FAILURES,
    FAMILIES,
    MODEL_REFUSALS,
    PHASES,
    RECEIVED_BYTES,
    RECEIVED_PARTS,
    REFUSALS,
    REFUSED,
    REQUEST_SECONDS,
    REQUESTS,
    SENT_BYTES,
    SENT_PARTS,
    WORKER_RESTARTS,
    WORKERS,
    Family,
    Sample,
)
from inference_gateway.telemetry.record import Record

_BY_NAME = {family.name: family for family in FAMILIES}
_SUM, _LARGEST = "sum", "largest"  # what a scrape makes of several workers' numbers
_BOUNDS = REQUEST_SECONDS.bounds

Merged = dict[str, dict[tuple[str, ...], list[float]]]  # name of a family → labels → cells


class Metrics:
    """The metrics of one gateway: an observer of its requests' records, and what `/metrics` says.

    What is counted for each request is counted in place. What somebody else knows is asked of its source, at
    a scrape, and once a second where other workers read it. Only the event loop does either, so there is no
    lock. `shared`: what is counted on; of this process where not given.
    """

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, shared: sheets.Sheets | None = None) -> None:
        self._sheets = shared or sheets.of_this_process()
        self._cells = self._sheets.own.cells
        self._space = str(len(self._sheets.tellers))  # a worker may have several gateways, in this order
        self._routes: dict[str, _Route] = {}
        self._sources: list[Callable[[], Iterable[Sample]]] = [self._tell_workers]
        self._begun_at: dict[int, list[float]] = {}  # cell → what a worker that has died had counted there
        followed = self._clear_gauges()
        restarts = self._place(WORKER_RESTARTS, ())
        self._cells[restarts] += followed
        self._sheets.tellers.append(self.tell)

    def source(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Have `source()` tell of what it knows, whenever somebody reads. Its counters begin at 0 with it."""
        self._sources.append(source)

    def add_route(self, route: str) -> None:
        """Count the requests of `route`, from 0 on."""
        self._routes[route] = _Route(self._place, route)

    def request_ended(self, record: Record, /) -> None:
        """Count a request, how long each phase took and what has come of it."""
        route, cells = self._routes[record.route], self._cells
        cells[route.of_status(record.status)] += 1
        cells[route.received_bytes] += record.received
        cells[route.sent_bytes] += record.sent
        cells[route.received_parts] += record.received_parts
        cells[route.sent_parts] += record.sent_parts
        for phase, seconds in record.phases.items():
            at = route.phases[phase]
            cells[at] += seconds
            cells[at + 1 + bisect_left(_BOUNDS, seconds)] += 1
        if record.failure and record.status != 200:  # else it came after the whole answer
            cells[route.failures[record.failure]] += 1
            if record.failure == "model":
                cells[route.model_refusals] += 1

    def tell(self) -> None:
        """Write down what the sources know now, for whoever reads."""
        cells = self._cells
        for source in self._sources:
            for family, labels, values, largest in source():
                if "worker" in family.labels:
                    labels = (*labels, str(self._sheets.number))
                at = self._place(family, labels, _LARGEST if largest else _SUM)
                before = self._before(at, family) if family.kind != "gauge" and not largest else None
                for index, value in enumerate(values):
                    cells[at + index] = value if before is None else before[index] + value
        self._sheets.own.come_alive()

    def text(self) -> bytes:
        """Return what Prometheus reads (its text format 0.0.4), of all workers together."""
        self.tell()
        lines: list[str] = []
        for name, by_labels in self._merged().items():
            family = _BY_NAME[name]
            lines += (f"# HELP {name} {family.meaning}", f"# TYPE {name} {family.kind}")
            for labels, values in by_labels.items():
                lines += _lines(family, labels, values)
        return "\n".join((*lines, "")).encode()

    def _place(self, family: Family, labels: tuple[str, ...], how: str = _SUM) -> int:
        return self._sheets.own.place((self._space, how, family.name, *labels), family.cells)

    def _before(self, at: int, family: Family) -> Sequence[float]:
        if at not in self._begun_at:
            self._begun_at[at] = list(self._cells[at : at + family.cells])
        return self._begun_at[at]

    def _clear_gauges(self) -> bool:
        """Forget the gauges of the worker whose place this one takes; return whether there was one."""
        followed = False
        for (space, _, name, *_), start, size in self._sheets.own.runs():
            if space == self._space:
                followed = True
                if name in _BY_NAME and _BY_NAME[name].kind == "gauge":
                    self._cells[start : start + size] = memoryview(bytes(8 * size)).cast("d")
        return followed

    def _merged(self) -> Merged:
        """Return what all workers have counted, and what those that live tell."""
        merged: Merged = {family.name: {} for family in FAMILIES}
        for sheet in self._sheets.all:
            is_alive = sheet.is_alive
            for (space, how, name, *labels), start, size in sheet.runs():
                family = _BY_NAME.get(name)
                if space != self._space or family is None or family.cells != size:
                    continue
                if family.kind == "gauge" and not is_alive:
                    continue
                values = list(sheet.cells[start : start + size])
                known = merged[name].get(tuple(labels))
                if known is not None:
                    values = list(map(max if how == _LARGEST else _add, known, values))
                merged[name][tuple(labels)] = values
        return {name: by_labels for name, by_labels in merged.items() if by_labels}

    def _tell_workers(self) -> Iterator[Sample]:
        yield Sample(WORKERS, (), (1,))


class _Route:
    """Where the counts of one route are."""

    def __init__(self, place: Callable[[Family, tuple[str, ...]], int], route: str) -> None:
        self.received_bytes = place(RECEIVED_BYTES, (route,))
        self.sent_bytes = place(SENT_BYTES, (route,))
        self.received_parts = place(RECEIVED_PARTS, (route,))
        self.sent_parts = place(SENT_PARTS, (route,))
        self.model_refusals = place(MODEL_REFUSALS, (route,))
        self.phases = {phase: place(REQUEST_SECONDS, (phase, route)) for phase in PHASES}
        self.failures = {reason: place(REFUSED, (reason, route)) for reason in REFUSALS}
        self.failures |= {reason: place(FAILED, (reason, route)) for reason in FAILURES}
        self._place = place
        self._route = route
        self._statuses: dict[int, int] = {}
        self.of_status(200)

    def of_status(self, status: int) -> int:
        """Where the requests of this status are counted."""
        at = self._statuses.get(status)
        if at is None:
            at = self._statuses[status] = self._place(REQUESTS, (self._route, str(status)))
        return at


def _add(one: float, other: float) -> float:
    return one + other


def _lines(family: Family, labels: Sequence[str], values: Sequence[float]) -> Iterator[str]:
    name = family.name
    pairs = [f'{label}="{_escaped(value)}"' for label, value in zip(family.labels, labels, strict=True)]
    told = f"{{{','.join(pairs)}}}" if pairs else ""
    if not family.bounds:
        yield f"{name}{told} {float(values[0])!r}"
        return
    total, *counts = values
    for bound, count in zip((*family.bounds, inf), accumulate(counts), strict=True):
        at_most = '"+Inf"' if bound == inf else f'"{float(bound)!r}"'
        yield f"{name}_bucket{{{','.join([f'le={at_most}', *pairs])}}} {count!r}"
    yield f"{name}_count{told} {float(sum(counts))!r}"
    yield f"{name}_sum{told} {total!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
