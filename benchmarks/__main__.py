"""`python -m benchmarks`: measure, print the tables, write them with the figures and a picture."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import curve, curve_report, decoding, measure, report, servers, workloads
from benchmarks.measure import Failed
from benchmarks.report import Results
from benchmarks.servers import Server, Unavailable
from benchmarks.workloads import Bodies, Workload

HERE = Path(__file__).parent
RESULTS = HERE / "results"
ROUNDS = 3
INTERRUPTED = 130


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the gateway beside other servers. All traffic stays on 127.0.0.1.",
        epilog="In make: make bench BENCH='--only parts,one --servers ours,floor --rounds 5', or "
        "make bench BENCH='--curve 64KB,1MB --connections 1,16 --servers ours-serve,hash'",
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller bodies, fewer servers, one round: two minutes"
    )
    parser.add_argument("--only", metavar="A,B", help=f"these workloads: {', '.join(workloads.NAMES)}")
    parser.add_argument(
        "--curve",
        metavar="A,B",
        nargs="?",
        const=",".join(curve.SIZES),
        help=f"the curve only, at these sizes: {', '.join(curve.SIZES)} (default all)",
    )
    parser.add_argument("--connections", metavar="A,B", help="of the curve (default 1,4,16; with --quick 16)")
    parser.add_argument("--servers", metavar="A,B", help=f"these servers: {', '.join(servers.NAMES)}")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help=f"how often (default {ROUNDS}, with --quick 1)"
    )
    parser.add_argument("--name", help="the files' name in benchmarks/results (default bench or bench-quick)")
    chosen = parser.parse_args(arguments)
    given = [word for word in (sys.argv[1:] if arguments is None else arguments) if word != "--quick"]
    chosen.options = [f"BENCH='{' '.join(given)}'"] if given else []
    chosen.only = picked(parser, "workload", chosen.only, workloads.NAMES)
    chosen.servers = picked(parser, "server", chosen.servers, servers.NAMES)
    chosen.curve_only = chosen.curve is not None
    sizes = picked(parser, "size", chosen.curve, tuple(curve.SIZES))
    chosen.curve = sizes or (curve.QUICK if chosen.quick else tuple(curve.SIZES))
    counts = picked(parser, "number of connections", chosen.connections, curve.CONNECTIONS)
    chosen.connections = counts or (("16",) if chosen.quick else curve.CONNECTIONS)
    return chosen


def picked(parser: argparse.ArgumentParser, what: str, text: str | None, known: Sequence[str]) -> list[str]:
    names = text.split(",") if text else []
    for name in names:
        if name not in known:
            parser.error(f"no {what} {name!r}: choose from {', '.join(known)}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parsed(arguments)
    results = Results(
        command=" ".join(["make bench-quick" if chosen.quick else "make bench", *chosen.options]),
        rounds=chosen.rounds or (1 if chosen.quick else ROUNDS),
        servers=chosen_servers(chosen),
    )
    begin = time.monotonic()
    RESULTS.mkdir(exist_ok=True)
    code = 0
    try:
        if not chosen.curve_only:
            run(results, chosen_workloads(chosen))
        if chosen.curve_only or not chosen.only:
            curve.run(
                results,
                curve.points(chosen.curve, chosen.connections),
                [server for server in results.servers if server.name in curve.SERVERS],
                RESULTS,
            )
    except KeyboardInterrupt:
        code = INTERRUPTED
        print("\ninterrupted: what follows is of the workloads that were done", file=sys.stderr)
    write(results, chosen.name or ("bench-quick" if chosen.quick else "bench"))
    print(f"\n{time.monotonic() - begin:.0f} s")
    return code


def chosen_servers(chosen: argparse.Namespace) -> list[Server]:
    names = chosen.servers or (servers.QUICK_NAMES if chosen.quick else servers.NAMES)
    if chosen.curve_only:
        names = chosen.servers or (curve.QUICK_SERVERS if chosen.quick else curve.SERVERS)
    return [servers.by_name(name) for name in names]


def chosen_workloads(chosen: argparse.Namespace) -> list[Workload]:
    everything = (
        [workloads.shrunk(workload) for workload in workloads.FULL] if chosen.quick else workloads.FULL
    )
    names = chosen.only or (workloads.QUICK_NAMES if chosen.quick else workloads.NAMES)
    return [workload for workload in everything if workload.name in names]


def run(results: Results, asked: Sequence[Workload]) -> None:
    """Workload by workload, round by round, each server in turn; every other round the other way round."""
    available = [server for server in results.servers if installed(results, server)]
    measure.sha256_rate()
    if not set(servers.OURS).isdisjoint(server.name for server in available):
        results.decoder = [decoding.rates() for _ in range(results.rounds)]
    with Bodies() as bodies:
        for workload in asked:
            for turn in range(results.rounds):
                results.sha256.append(measure.sha256_rate())
                for server in available if turn % 2 == 0 else reversed(available):
                    if (workload.name, server.name) not in results.skipped:
                        run_one(results, workload, server, bodies, turn)
            results.workloads.append(workload)


def installed(results: Results, server: Server) -> bool:
    try:
        servers.programs(server.requirements)
    except Unavailable as reason:
        results.skipped["", server.name] = str(reason)
        return False
    return True


def run_one(results: Results, workload: Workload, server: Server, bodies: Bodies, turn: int) -> None:
    label = f"{workload.name:<20} {server.name:<12} {turn + 1}/{results.rounds}"
    log = RESULTS / f"{server.name}.log"
    try:
        figures = measure.measure(server, workload, bodies, log)
    except (Failed, Unavailable) as failure:
        reason = " ".join(f"{failure} {servers.last_error(log)}".split())
        results.skipped[workload.name, server.name] = reason
        print(f"{label}  left out: {reason[:160]}", flush=True)
        return
    results.add(workload, server, figures)
    memory = "" if figures.peak is None else f"   peak {figures.peak / (1 << 20):6.0f} MiB"
    print(f"{label}  {shown(workload, figures)}{memory}", flush=True)


def shown(workload: Workload, figures: measure.Figures) -> str:
    if workload.kind == "rate":
        return f"{figures.rate / 1e6:9.1f} MB/s      "
    if workload.kind == "requests":
        return f"{figures.rate:9.0f} requests/s"
    return f"{figures.p99 * 1e3:9.2f} ms p99    "


def write(results: Results, name: str) -> None:
    text = report.markdown(results, curve_report.sections(results), curve_report.verdicts(results))
    figures, tables, picture = (RESULTS / f"{name}.{kind}" for kind in ("json", "md", "png"))
    lines = RESULTS / f"{name}-curve.png"
    figures.write_text(json.dumps(results.as_json(), indent=1))
    tables.write_text(text)
    print(f"\n{text}")
    try:
        python = servers.programs("plot") / "python"
        plot = [str(python), str(HERE / "plot.py"), str(figures)]
        subprocess.run([*plot, str(picture), str(lines)], check=True)
    except (Unavailable, subprocess.CalledProcessError) as reason:
        print(f"no picture: {reason}", file=sys.stderr)
    print(
        "Written: "
        + ", ".join(
            str(file.relative_to(HERE.parent)) for file in (figures, tables, picture, lines) if file.exists()
        )
    )


if __name__ == "__main__":
    sys.exit(main())
