"""The curve as tables, and what was promised of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from benchmarks import curve
from benchmarks.report import NOTHING, Results, Verdict, table
from benchmarks.workloads import Workload

SERVE = "ours-serve"
# sizes, connections: over the old design, over `hash`
RATIOS: dict[tuple[tuple[str, ...], tuple[int, ...]], tuple[float, float]] = {
    (("64KB", "128KB", "256KB", "512KB"), (16,)): (1.5, 0.4),
    (("64KB", "128KB", "256KB", "512KB"), (1,)): (2.0, 0.45),
    (("1MB", "2MB"), (1, 16)): (2.0, 0.6),
    (("4MB", "8MB"), (1, 16)): (2.0, 0.8),
    (("16MB", "64MB"), (1, 16)): (2.0, 1.0),
}
JSON_OVER_OLD = 4.0
JSON_OVER_PEER = 1.2 if sys.version_info >= (3, 15) else 1.0
OVER_UVICORN = 0.97
PROBES_OVER_HASH = 3.0
COMPARED = {"old": "over the old design", "hash": "over hash", "ours": "over uvicorn"}


def sections(results: Results) -> list[str]:
    """A table for each number of connections."""
    counts = sorted({each.connections for each in curve_of(results)})
    return [section(results, [each for each in curve_of(results) if each.connections == n]) for n in counts]


def curve_of(results: Results) -> list[Workload]:
    return [workload for workload in results.workloads if workload.kind == "curve"]


def section(results: Results, points: list[Workload]) -> str:
    shown = [server for server in results.servers if server.name in curve.SERVERS]
    compared = [name for name in COMPARED if any(server.name == name for server in shown)]
    head = ["body", *(server.title for server in shown), *(f"serve {COMPARED[name]}" for name in compared)]
    rows = []
    for workload in points:
        rates = [results.rate(workload.name, server.name) for server in shown]
        ratios = [ratio(results, workload, name) for name in compared]
        rows.append(
            [
                workload.title.partition(",")[0],
                *(
                    NOTHING if rate is None else f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
                    for rate in rates
                ),
                *(NOTHING if each is None else f"{each:.2f}" for each in ratios),
            ]
        )
    count = points[0].connections
    return f"### The curve: requests per second, {count} connection{'s' * (count > 1)}\n\n{table(head, rows)}"


def ratio(results: Results, workload: Workload, server: str) -> float | None:
    ours, other = results.rate(workload.name, SERVE), results.rate(workload.name, server)
    return ours / other if ours and other else None


def verdicts(results: Results) -> Iterator[Verdict]:
    """Of each promise the point that is farthest from it."""
    points = curve_of(results)
    for (sizes, counts), asked in RATIOS.items():
        chosen = [each for each in points if is_one_of(each, sizes, counts)]
        what = f"{sizes[0]} to {sizes[-1]}, {' and '.join(map(str, counts))} connections"
        for server, least in zip(("old", "hash"), asked, strict=True):
            yield from worst(results, chosen, server, what, least)
    json_points = [each for each in points if is_one_of(each, ("JSON",), (16,))]
    yield from worst(results, json_points, "old", "JSON only, 16 connections", JSON_OVER_OLD)
    yield from worst(results, json_points, "aiohttp-tuned", "JSON only, 16 connections", JSON_OVER_PEER)
    yield from worst(results, points, "ours", "every point", OVER_UVICORN)
    ours, hashing = (results.median(curve.PROBES.name, server, "p99") for server in (SERVE, "hash"))
    if ours and hashing:
        title = f"{curve.PROBES.title}: 99th percentile, serve over hash"
        yield Verdict(title, ours / hashing, PROBES_OVER_HASH, at_least=False)


def is_one_of(workload: Workload, sizes: Iterable[str], counts: Iterable[int]) -> bool:
    return any(workload.name == f"{size}-{count}" for size in sizes for count in counts)


def worst(
    results: Results, points: Iterable[Workload], server: str, what: str, least: float
) -> Iterator[Verdict]:
    ratios = [(each, point.title) for point in points if (each := ratio(results, point, server)) is not None]
    if ratios:
        figure, title = min(ratios)
        over = COMPARED.get(server, f"over {server}")
        yield Verdict(f"curve, {what}: serve {over} (worst: {title})", figure, least)
