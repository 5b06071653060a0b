"""The curve: requests per second for bodies from nothing but JSON to 64 MB, on 1, 4 and 16 connections.

All servers run at the same time and are asked in turn, point by point, so that what the machine does beside
this meets all of them alike. With each round they are started anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import measure, servers
from benchmarks.measure import Failed
from benchmarks.report import Results
from benchmarks.servers import Running, Server, Unavailable
from benchmarks.workloads import KB, MB, Bodies, Workload

SIZES = {
    "JSON": 0,
    **{f"{size}KB": size * KB for size in (1, 4, 16, 64, 128, 256, 512)},
    **{f"{size}MB": size * MB for size in (1, 2, 4, 8, 16, 64)},
}
CONNECTIONS = ("1", "4", "16")
QUICK = ("JSON", "128KB", "2MB")
SERVERS = ("ours-serve", "ours", "hash", "old", "fastapi", "aiohttp", "aiohttp-tuned")
QUICK_SERVERS = ("ours-serve", "ours", "hash", "old")
SECONDS = 0.9  # for one point; requests that take longer are waited for
IMAGE = 500 * KB  # a larger body is made of more images

PROBES = Workload(
    "ping-half",
    "/ping during 16 connections of 0.5 MB",
    "ping",
    parts=1,
    part_bytes=IMAGE,
    connections=16,
    seconds=2,
)


def point(size: str, connections: int) -> Workload:
    parts = -(-SIZES[size] // IMAGE)
    return Workload(
        f"{size}-{connections}",
        f"{size}, {connections} connection{'s' * (connections > 1)}",
        "curve",
        parts=parts,
        part_bytes=SIZES[size] // max(parts, 1),
        connections=connections,
        seconds=SECONDS,
    )


def points(sizes: Sequence[str], connections: Sequence[str]) -> list[Workload]:
    """Each size with each number of connections, and the probes beside half a MB."""
    return [*(point(size, int(count)) for size in sizes for count in connections), PROBES]


def run(results: Results, asked: Sequence[Workload], chosen: Sequence[Server], logs: Path) -> None:
    """Fills `results` with `rounds` rounds; a server that fails at a point is left out there from then on."""
    with Bodies() as bodies:
        for turn in range(results.rounds):
            results.sha256.append(measure.sha256_rate())
            with ExitStack() as stack:
                up = list(started(results, chosen, asked, bodies, logs, stack))
                for workload in asked:
                    print(f"{workload.title:<40} {turn + 1}/{results.rounds} ", end="", flush=True)
                    for running in up if turn % 2 == 0 else reversed(up):
                        one(results, workload, running, bodies)
                    print(flush=True)
    results.workloads += asked


def started(
    results: Results,
    chosen: Sequence[Server],
    asked: Sequence[Workload],
    bodies: Bodies,
    logs: Path,
    stack: ExitStack,
) -> Iterator[Running]:
    for server in chosen:
        if ("", server.name) in results.skipped:
            continue
        try:
            running = stack.enter_context(
                servers.running(server, point("JSON", 16), logs / f"{server.name}.log")
            )
            measure.greet(running, bodies.smallest())
        except (Failed, Unavailable) as reason:
            results.skipped["", server.name] = str(reason)
        else:
            yield running


def one(results: Results, workload: Workload, running: Running, bodies: Bodies) -> None:
    server = running.server
    if (workload.name, server.name) in results.skipped:
        return
    body = bodies.body_of(workload)
    measure.warm_memory(workload.memory_to_warm(server.holds))
    try:
        figures = (measure.pings if workload.kind == "ping" else measure.requests)(running, workload, body)
    except Failed as failure:
        results.skipped[workload.name, server.name] = str(failure)
        print(f" {server.name} failed", end="", flush=True)
        return
    results.add(workload, server, figures)
    shown = f"{figures.p99 * 1e3:.1f} ms" if workload.kind == "ping" else f"{figures.rate:,.0f}"
    print(f" {server.name} {shown}", end="", flush=True)
