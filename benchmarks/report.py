"""From figures to what a person reads: medians, tables, ratios against what was promised."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.decoding import REFERENCE
from benchmarks.measure import Figures
from benchmarks.servers import FLOORS, OURS, TUNED_PEERS, Server
from benchmarks.workloads import Workload

MIB = 1 << 20
NOTHING = "–"
PACKAGES = ("uvicorn", "starlette", "httptools", "uvloop", "numpy")


@dataclass
class Results:
    """Every round of every measurement, and the reason where there is none."""

    command: str
    rounds: int
    servers: Sequence[Server]
    workloads: list[Workload] = field(default_factory=list)  # that are done
    figures: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)
    skipped: dict[tuple[str, str], str] = field(default_factory=dict)
    sha256: list[float] = field(default_factory=list)
    decoder: list[dict[str, float]] = field(default_factory=list)

    def add(self, workload: Workload, server: Server, figures: Figures) -> None:
        self.figures.setdefault((workload.name, server.name), []).append(figures)

    def median(self, workload: str, server: str, name: str) -> float | None:
        values = [getattr(figures, name) for figures in self.figures.get((workload, server), [])]
        seen = [value for value in values if value is not None]
        return statistics.median(seen) if seen else None

    def rate(self, workload: str, server: str) -> float | None:
        return self.median(workload, server, "rate")

    def sha256_rate(self) -> float | None:
        return statistics.median(self.sha256) if self.sha256 else None

    def decoder_rates(self) -> dict[str, float]:
        return {
            name: statistics.median(rates[name] for rates in self.decoder)
            for name in (self.decoder or [{}])[0]
        }

    def best_peer(self, workload: str, *, tuned: bool = False) -> tuple[str, float] | None:
        """The fastest peer as its documentation has it; or of those that were tuned beyond that."""
        others = (*OURS, *FLOORS, *TUNED_PEERS, "old")
        peers = TUNED_PEERS if tuned else [each.name for each in self.servers if each.name not in others]
        rates = [(name, rate) for name in peers if (rate := self.rate(workload, name)) is not None]
        return max(rates, key=lambda pair: pair[1], default=None)

    def as_json(self) -> dict[str, Any]:
        return {
            "command": self.command,
            "machine": machine(),
            "rounds": self.rounds,
            "sha256_bytes_per_second": self.sha256_rate(),
            "decoder_bytes_per_second": self.decoder_rates(),
            "servers": [{"name": server.name, "title": server.title} for server in self.servers],
            "workloads": [asdict(workload) for workload in self.workloads],
            "medians": [
                {"workload": workload, "server": server}
                | {name: self.median(workload, server, name) for name in Figures.__dataclass_fields__}
                for workload, server in self.figures
            ],
            "rounds_seen": [
                {"workload": workload, "server": server, "rounds": [asdict(figures) for figures in rounds]}
                for (workload, server), rounds in self.figures.items()
            ],
            "skipped": [
                {"workload": workload, "server": server, "reason": reason}
                for (workload, server), reason in self.skipped.items()
            ],
        }


def machine() -> dict[str, str]:
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "packages": ", ".join(versions),
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


# Tables


def markdown(results: Results, more: Iterable[str] = (), promises: Iterable[Verdict] = ()) -> str:
    """All tables. `more`: sections of others, `promises`: their verdicts."""
    described = machine()
    head = [
        f"`{results.command}` on {described['processor']}, {described['cores']} cores, "
        f"{described['memory']}, {described['system']}, {described['python']}; {described['packages']}. "
        f"Medians of {results.rounds} interleaved rounds, client on the same machine.",
    ]
    if (rate := results.sha256_rate()) is not None:
        head.append(f"SHA-256 of one core: {rate / 1e6:,.0f} MB/s.")
    sections = [
        section(results, "Bytes per second (MB/s)", megabytes, lambda w: w.kind == "rate"),
        section(results, "Peak memory of the server above idle (MiB)", peak, lambda w: w.kind == "rate"),
        section(
            results,
            "Small requests per second (median / 99th percentile, ms)",
            small,
            lambda w: w.kind == "requests",
        ),
        *more,
        section(results, "Probes: median / 99th percentile / worst (ms)", probes, lambda w: w.kind == "ping"),
        decoder_section(results),
        verdicts(results, promises),
        reasons(results),
    ]
    return "\n\n".join([*head, *filter(None, sections)]) + "\n"


Cell = Callable[[Results, str, str], str]


def section(results: Results, title: str, cell: Cell, wanted: Callable[[Workload], bool]) -> str:
    columns = [workload for workload in results.workloads if wanted(workload)]
    if not columns:
        return ""
    rows = [
        [server.title, *(cell(results, workload.name, server.name) for workload in columns)]
        for server in results.servers
    ]
    return f"### {title}\n\n{table(['', *(workload.title for workload in columns)], rows)}"


def decoder_section(results: Results) -> str:
    rows = [[name, f"{rate / 1e6:,.1f}"] for name, rate in results.decoder_rates().items()]
    return f"### The decoder alone\n\n{table(['', 'MB/s'], rows)}" if rows else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def row(cells: Sequence[str]) -> str:
        first, *rest = cells
        numbers = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        return "| " + " | ".join([first.ljust(widths[0]), *numbers]) + " |"

    return "\n".join(row(cells) for cells in [lines[0], rule, *lines[1:]])


def megabytes(results: Results, workload: str, server: str) -> str:
    rate = results.rate(workload, server)
    if rate is None:
        return NOTHING
    return f"{rate / 1e6:,.0f}" if rate >= 1e7 else f"{rate / 1e6:.2f}"


def peak(results: Results, workload: str, server: str) -> str:
    most = results.median(workload, server, "peak")
    return NOTHING if most is None else f"{most / MIB:,.0f}"


def small(results: Results, workload: str, server: str) -> str:
    rate = results.rate(workload, server)
    if rate is None:
        return NOTHING
    return f"{rate:,.0f} ({latencies(results, workload, server, 'median', 'p99')})"


def probes(results: Results, workload: str, server: str) -> str:
    return latencies(results, workload, server, "median", "p99", "worst")


def latencies(results: Results, workload: str, server: str, *names: str) -> str:
    values = [results.median(workload, server, name) for name in names]
    return NOTHING if values[0] is None else " / ".join(f"{(value or 0) * 1e3:.1f}" for value in values)


def reasons(results: Results) -> str:
    titles = {workload.name: workload.title for workload in results.workloads}
    servers = {server.name: server.title for server in results.servers}
    lines = [
        f"- {servers[server]}, {titles.get(workload, 'everything')}: {' '.join(reason.split())[:240]}"
        for (workload, server), reason in results.skipped.items()
    ]
    return "### Left out\n\n" + "\n".join(lines) if lines else ""


# What was promised


@dataclass(frozen=True)
class Verdict:
    what: str
    figure: float
    asked: float
    at_least: bool = True
    unit: str = ""

    def cells(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        holds = self.figure >= self.asked if self.at_least else self.figure <= self.asked
        return [
            self.what,
            f"{self.figure:.2f}{self.unit}",
            f"{sign} {self.asked:g}{self.unit}",
            "yes" if holds else "NO",
        ]


# workload: over the old design, over the best peer, over the floor (or the lesser of floor and SHA-256 rate)
RATIOS = {
    "parts": (1.8, 1.5, 1.0),
    "one": (3.0, 2.5, 1.1),
    "eight": (1.7, 1.6, 1.1),
    "array": (6.0, 2.5, 0.95),
    "json-16": (4.0, 1.2, 0.25),
}
SERVE_RATIOS = {"parts": 0.55, "eight": 0.8}
PEAKS = {"parts": 16, "one": 16, "study": 16, "tiny": 16, "eight": 8 * 12, "array": 24, "iterable": 24}  # MiB
KEPT = 16  # MiB
PING_WORST, PING_RATIO = 0.025, 3.0
HOSTILE = ("hostile-delimiters", "hostile-returns")
HOSTILE_WINDOWS = ("near-delimiters", "CR after CR", "the boundary's last characters")
HOSTILE_RATIO = 0.1


def verdicts(results: Results, more: Iterable[Verdict]) -> str:
    found = [
        *ratio_verdicts(results),
        *memory_verdicts(results),
        *ping_verdicts(results),
        *hostile_verdicts(results),
        *more,
    ]
    if not found:
        return ""
    head = ["Promise", "seen", "asked", "holds"]
    return f"### Promises\n\n{table(head, [verdict.cells() for verdict in found])}"


def ratio_verdicts(results: Results) -> Iterable[Verdict]:
    titles = {workload.name: workload.title for workload in results.workloads}
    servers = {server.name: server.title for server in results.servers}
    for name, (over_old, over_peer, over_floor) in RATIOS.items():
        ours = results.rate(name, "ours")
        if ours is None:
            continue
        title = titles[name]
        if old := results.rate(name, "old"):
            yield Verdict(f"{title}: over the old design", ours / old, over_old)
        if peer := results.best_peer(name):
            yield Verdict(f"{title}: over the best peer ({servers[peer[0]]})", ours / peer[1], over_peer)
        if peer := results.best_peer(name, tuned=True):
            yield Verdict(f"{title}: over {servers[peer[0]]}", ours / peer[1], over_peer)
        if floor := results.rate(name, "floor"):
            sha256 = results.sha256_rate()
            if name == "array" and sha256:
                yield Verdict(f"{title}: over floor or SHA-256", ours / min(floor, sha256), over_floor)
            else:
                yield Verdict(f"{title}: over the floor", ours / floor, over_floor)
    for name, asked in SERVE_RATIOS.items():
        serve, tuned, sha256 = (
            results.rate(name, "ours-serve"),
            results.rate(name, "floor-tuned"),
            results.sha256_rate(),
        )
        if serve and tuned and sha256:
            yield Verdict(
                f"{titles[name]}: serve over tuned floor or SHA-256", serve / min(tuned, sha256), asked
            )


def memory_verdicts(results: Results) -> Iterable[Verdict]:
    titles = {workload.name: workload.title for workload in results.workloads}
    for server in OURS:
        for name, asked in PEAKS.items():
            most, kept = results.median(name, server, "peak"), results.median(name, server, "kept")
            if most is None or kept is None:
                continue
            yield Verdict(f"{titles[name]}: peak, {server}", most / MIB, asked, at_least=False, unit=" MiB")
            yield Verdict(f"{titles[name]}: kept, {server}", kept / MIB, KEPT, at_least=False, unit=" MiB")


def ping_verdicts(results: Results) -> Iterable[Verdict]:
    for workload in results.workloads:
        if workload.kind != "ping" or not workload.connections:
            continue
        floor = results.median(workload.name, "floor", "p99")
        for server in OURS:
            p99 = results.median(workload.name, server, "p99")
            if p99 is None:
                continue
            title = f"{workload.title}: 99th percentile, {server}"
            yield Verdict(title, p99 * 1e3, PING_WORST * 1e3, at_least=False, unit=" ms")
            if floor:
                yield Verdict(f"{title} over the floor's", p99 / floor, PING_RATIO, at_least=False)


def hostile_verdicts(results: Results) -> Iterable[Verdict]:
    rates = results.decoder_rates()
    for name in HOSTILE_WINDOWS:
        if name in rates:
            yield Verdict(
                f"decoder, {name}: over random bytes", rates[name] / rates[REFERENCE], HOSTILE_RATIO
            )
    for server in OURS:
        ours, floor = results.rate("hostile-chunks", server), results.rate("hostile-chunks", "floor")
        if ours and floor:
            yield Verdict(f"one-byte chunks: over the floor, {server}", ours / floor, HOSTILE_RATIO)
    for workload in results.workloads:
        for server in OURS:
            rate, plain = results.rate(workload.name, server), results.rate("plain", server)
            if workload.name in HOSTILE and rate and plain:
                yield Verdict(f"{workload.title}: over random bytes, {server}", rate / plain, HOSTILE_RATIO)
