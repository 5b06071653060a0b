"""What a model in a process of its own costs, beside the same model on a thread, and what it spares.

`python -m benchmarks.isolation`: two servers, asked in turn, so that what else the machine does hits both
alike. It prints a table: what was measured (medians, unless it says otherwise), how the process compares, and
what it should. `--only` chooses some of it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.client import Job, small, upload_once
from benchmarks.probes import ping, wait_for

HERE = Path(__file__).parent
MIB = 1 << 20
CONTENT_TYPE = "multipart/related; boundary=b"
ISOLATIONS = ("thread", "process")
PROBE_ROUNDS = 3

Ports = dict[str, int]

PIDS: dict[int, int] = {}  # of the server on each port


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=__doc__)
    parser.add_argument("--size", type=int, default=500, help="MB of study and mask (default 500)")
    parser.add_argument("--rounds", type=int, default=7, help="requests to each server (default 7)")
    parser.add_argument("--seconds", type=float, default=12, help="of each look at /ping (default 12)")
    parser.add_argument("--only", default=",".join(KINDS), help="of: %(default)s")
    chosen = parser.parse_args()
    row("", "thread", "process", "process beside thread", "at the most, or at least")
    row(*["---"] * 5)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = {each: stack.enter_context(server(each, Path(folder))) for each in ISOLATIONS}
        for kind in chosen.only.split(","):
            KINDS[kind](ports, Path(folder), chosen)


def row(*cells: str) -> None:
    print("|", " | ".join(cells), "|", flush=True)


@contextmanager
def server(isolation: str, folder: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "inference_gateway.cli", "serve", "isolated:model"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--isolation", isolation],
        cwd=HERE / "apps",
        env={**os.environ, "GATEWAY_SPOOL_DIR": str(folder), "GATEWAY_KEEP_ALIVE_TIMEOUT": "none"},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        while not ask(port, folder, {})[1]:
            time.sleep(0.05)
        PIDS[port] = process.pid
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def body(folder: Path, asked: Any, study: int = 0) -> Path:
    """A request's body as a file. `study`: bytes of its one input."""
    path = folder / f"body-{study}-{json.dumps(asked).replace('/', '')}"
    if not path.exists():
        with path.open("wb") as file:
            file.write(b"--b\r\n\r\n" + json.dumps(asked).encode() + b"\r\n")
            if study:
                file.write(b"--b\r\n\r\n")
                block = os.urandom(MIB)
                for at in range(0, study, MIB):
                    file.write(block[: study - at])
                file.write(b"\r\n")
            file.write(b"--b--\r\n")
    return path


def ask(port: int, folder: Path, asked: Any, study: int = 0) -> tuple[float, bool]:
    """The seconds of one request, and whether it was answered."""
    job = Job("upload", port, content_type=CONTENT_TYPE, body_file=str(body(folder, asked, study)))
    begin = time.perf_counter()
    _, answer, error = upload_once(job)
    return time.perf_counter() - begin, answer is not None and not error


def processor_seconds(port: int) -> float:
    """What the server and its model processes have used: it says more than time where others work, too."""
    total = 0.0
    for pid in pids(port):
        with open(f"/proc/{pid}/stat") as stat:
            total += sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return total


def pids(port: int) -> list[int]:
    """The server on this port, its warden and its model processes."""
    found = [PIDS[port]]
    for pid in found:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            found += map(int, children.read().split())
    return found


def in_turn(ports: Ports, rounds: int, measure: Callable[[int], float]) -> dict[str, float]:
    """The median of each server; the first round warms up."""
    found: dict[str, list[float]] = {each: [] for each in ports}
    for number in range(rounds + 1):
        for isolation in sorted(ports, reverse=bool(number % 2)):
            figure = measure(ports[isolation])
            if number:
                found[isolation].append(figure)
    return {isolation: statistics.median(figures) for isolation, figures in found.items()}


def bulk(ports: Ports, folder: Path, chosen: argparse.Namespace) -> None:
    size = chosen.size * 1_000_000
    for name, asked, study, least in (
        ("study, read by page", {}, size, 0.95),
        ("mask from `empty()`", {"mask": size, "shared": True}, 0, 0.95),
        ("mask of NumPy's own", {"mask": size, "shared": False}, 0, 0.8),
        ("study, and mask from `empty()`", {"mask": size, "shared": True}, size, 0.95),
        ("study, and mask of NumPy's own", {"mask": size, "shared": False}, size, 0.8),
    ):
        used = dict.fromkeys(ports.values(), 0.0)

        def seconds(
            port: int, asked: Any = asked, study: int = study, used: dict[int, float] = used
        ) -> float:
            before = processor_seconds(port)
            taken, answered = ask(port, folder, asked, study)
            used[port] += processor_seconds(port) - before
            assert answered
            return taken

        found = in_turn(ports, chosen.rounds, seconds)
        moved = chosen.size * (bool(study) + ("mask" in asked))
        row(
            f"{chosen.size} MB {name}",
            *(f"{moved / found[each]:.0f} MB/s" for each in ISOLATIONS),
            f"{found['thread'] / found['process']:.2f} of the throughput, "
            f"{used[ports['process']] / used[ports['thread']]:.2f} of the processor's time",
            f"{least} of the throughput",
        )


def memory(ports: Ports, folder: Path, chosen: argparse.Namespace) -> None:
    """A study and a mask, as above. Proportional sizes: what processes share is counted once."""
    size = chosen.size * 1_000_000
    asked = {"mask": size, "shared": True}
    most: dict[int, int] = {}

    def peak(port: int) -> float:
        asker = threading.Thread(target=ask, args=(port, folder, asked, size))
        asker.start()
        highest = 0
        while asker.is_alive():
            highest = max(highest, sum(map(proportional, pids(port))))
            asker.join(0.02)
        most[port] = max(most.get(port, 0), highest)
        return sum(map(proportional, pids(port)))

    in_turn(ports, 3, peak)
    time.sleep(4)  # what is kept for the next result goes back to the system after two seconds
    allowed = f"+60 MiB, and the {imports() / MIB:.0f} MiB that a model's process imports"
    at_rest = {port: sum(map(proportional, pids(port))) for port in ports.values()}
    for name, found in ((f"{chosen.size} MB study and mask, longest peak", most), ("at rest", at_rest)):
        thread, process = (found[ports[each]] / MIB for each in ISOLATIONS)
        compared = f"{process - thread:+.0f} MiB"
        row(f"memory: {name}", f"{thread:.0f} MiB", f"{process:.0f} MiB", compared, allowed)


def imports() -> int:
    """The memory of an interpreter that has what a model's process has before its first call."""
    command = "import inference_gateway.execution.process.child, isolated; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", command], cwd=HERE / "apps", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        found = proportional(process.pid)
        process.stdin.write(b"\n")
    return found


def proportional(pid: int) -> int:
    """The process's share of memory in bytes (PSS, proc(5)); 0 where it has gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def small_requests(ports: Ports, folder: Path, chosen: argparse.Namespace) -> None:
    for connections in (1, 8):
        latencies: dict[int, list[float]] = {port: [] for port in ports.values()}

        def rate(
            port: int, connections: int = connections, latencies: dict[int, list[float]] = latencies
        ) -> float:
            job = Job(
                "small",
                port,
                content_type=CONTENT_TYPE,
                body_file=str(body(folder, {})),
                connections=connections,
                seconds=1.0,
            )
            seen = small(job)
            assert not seen.error, seen.error
            latencies[port] += seen.latencies
            return seen.requests / seen.seconds

        found = in_turn(ports, chosen.rounds, rate)
        median = {each: statistics.median(latencies[port]) * 1e3 for each, port in ports.items()}
        row(
            f"small JSON, {connections} at once",
            *(f"{found[each]:.0f}/s, {median[each]:.2f} ms" for each in ISOLATIONS),
            f"{found['process'] / found['thread']:.2f} of the rate, "
            f"{median['process'] - median['thread']:+.2f} ms",
            "0.6 of the rate, +1.0 ms",
        )


def probes(ports: Ports, folder: Path, chosen: argparse.Namespace) -> None:
    """Each server idle and busy in turn, a few seconds at a time."""
    seconds = chosen.seconds / PROBE_ROUNDS
    for name, asked in (
        ("pure Python without end", {"computes": seconds + 1}),
        ("native code that holds the lock for 5 s", {"holds": 5}),
    ):
        idle: dict[str, list[float]] = {each: [] for each in ports}
        busy: dict[str, list[float]] = {each: [] for each in ports}
        for _ in range(PROBE_ROUNDS):
            for isolation, port in ports.items():
                idle[isolation] += ping(port, time.monotonic() + seconds, 50)
                asker = threading.Thread(target=ask, args=(port, folder, asked))
                asker.start()
                busy[isolation] += ping(port, time.monotonic() + seconds, 50)
                asker.join()
        p99 = {
            (when, each): statistics.quantiles(delays[each], n=100)[98] * 1e3
            for when, delays in (("idle", idle), ("busy", busy))
            for each in ports
        }
        row(
            f"`/ping` beside {name}, p99",
            *(f"{p99['busy', each]:.1f} ms, idle {p99['idle', each]:.1f} ms" for each in ISOLATIONS),
            f"{p99['busy', 'process'] - p99['idle', 'process']:+.1f} ms over idle, longest "
            f"{max(busy['process']) * 1e3:.0f} ms",
            "+5 ms over idle",
        )


def restarts(ports: Ports, folder: Path, chosen: argparse.Namespace) -> None:
    """From the death of the model's process to the next answer. The model's own set-up takes no time."""
    seconds = []
    for _ in range(max(chosen.rounds, 10)):
        os.kill(int(json_of(ports["process"], folder, {"who": True})["pid"]), signal.SIGKILL)
        begin = time.perf_counter()
        while not ask(ports["process"], folder, {})[1]:
            pass
        seconds.append(time.perf_counter() - begin)
    found = f"{statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s"
    row("restart, beside the model's set-up", "", found, "", "0.5 s")


def json_of(port: int, folder: Path, asked: Any) -> Any:
    """The JSON of an answer."""
    job = Job("upload", port, content_type=CONTENT_TYPE, body_file=str(body(folder, asked)))
    answer = upload_once(job)[1]
    assert answer is not None
    return json.loads(answer.start[answer.start.index(b"{") : answer.start.index(b"}") + 1])


KINDS = {
    "small": small_requests,
    "bulk": bulk,
    "memory": memory,
    "probes": probes,
    "restarts": restarts,
}

if __name__ == "__main__":
    main()
