"""What a model in a process of its own costs, beside the same model on a thread, and what it spares.

`python -m benchmarks.isolation`: two servers, asked in turn, so that what else the machine does hits both
alike. Each line has the median of thread and of process, and their ratio. `--only` chooses some of them.
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

Ports = dict[str, int]

PIDS: dict[int, int] = {}  # of the server on each port


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=__doc__)
    parser.add_argument("--size", type=int, default=500, help="MB of study and mask (default 500)")
    parser.add_argument("--rounds", type=int, default=7, help="requests to each server (default 7)")
    parser.add_argument("--seconds", type=float, default=12, help="of each look at /ping (default 12)")
    parser.add_argument("--only", default=",".join(KINDS), help="of: %(default)s")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = {each: stack.enter_context(server(each, Path(folder))) for each in ISOLATIONS}
        for kind in chosen.only.split(","):
            KINDS[kind](ports, Path(folder), chosen)


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
    total, pids = 0.0, [PIDS[port]]
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/task/{pid}/children") as children:
            total += sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
            pids += map(int, children.read().split())
    return total


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
    for name, asked, study in (
        ("a study, read by page", {}, size),
        ("a mask from empty()", {"mask": size, "shared": True}, 0),
        ("a mask of its own", {"mask": size, "shared": False}, 0),
        ("study, and mask from empty()", {"mask": size, "shared": True}, size),
        ("study, and mask of its own", {"mask": size, "shared": False}, size),
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
        print(
            f"{chosen.size} MB, {name}: thread {moved / found['thread']:.0f} MB/s, process "
            f"{moved / found['process']:.0f} MB/s: {found['thread'] / found['process']:.2f} of it; "
            f"{used[ports['process']] / used[ports['thread']]:.2f} of the processor's time",
            flush=True,
        )


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
        print(
            f"small JSON, {connections} at once: thread "
            f"{found['thread']:.0f}/s and {median['thread']:.2f} ms, "
            f"process {found['process']:.0f}/s and {median['process']:.2f} ms: "
            f"{found['process'] / found['thread']:.2f} of the rate, "
            f"{median['process'] - median['thread']:+.2f} ms",
            flush=True,
        )


def probes(ports: Ports, folder: Path, chosen: argparse.Namespace) -> None:
    for name, asked in (
        ("a model in pure Python", {"computes": chosen.seconds / 3}),
        ("native code that holds the lock for 5 s", {"holds": 5}),
    ):
        for isolation, port in ports.items():
            idle, busy = [], []
            for _ in range(3):
                idle += ping(port, time.monotonic() + chosen.seconds / 3, 50)
                done = threading.Event()

                def keep_busy(port: int = port, done: threading.Event = done, asked: Any = asked) -> None:
                    while not done.is_set():
                        ask(port, folder, asked)

                asker = threading.Thread(target=keep_busy)
                asker.start()
                busy += ping(port, time.monotonic() + chosen.seconds / 3, 50)
                done.set()
                asker.join()
            p99 = [statistics.quantiles(delays, n=100)[98] * 1e3 for delays in (idle, busy)]
            print(
                f"/ping beside {name}, {isolation}: p99 {p99[1]:.1f} ms, idle {p99[0]:.1f} ms: "
                f"{p99[1] - p99[0]:+.1f} ms; longest {max(busy) * 1e3:.0f} ms",
                flush=True,
            )


def restarts(ports: Ports, folder: Path, chosen: argparse.Namespace) -> None:
    """From the death of the model's process to the next answer. The model's own set-up takes no time."""
    seconds = []
    for _ in range(chosen.rounds):
        os.kill(int(json_of(ports["process"], folder, {"who": True})["pid"]), signal.SIGKILL)
        begin = time.perf_counter()
        while not ask(ports["process"], folder, {})[1]:
            pass
        seconds.append(time.perf_counter() - begin)
    print(
        f"restart of a process whose model takes no time: median {statistics.median(seconds):.2f} s, longest "
        f"{max(seconds):.2f} s",
        flush=True,
    )


def json_of(port: int, folder: Path, asked: Any) -> Any:
    """The JSON of an answer."""
    job = Job("upload", port, content_type=CONTENT_TYPE, body_file=str(body(folder, asked)))
    answer = upload_once(job)[1]
    assert answer is not None
    return json.loads(answer.start[answer.start.index(b"{") : answer.start.index(b"}") + 1])


KINDS = {"bulk": bulk, "small": small_requests, "probes": probes, "restarts": restarts}

if __name__ == "__main__":
    main()
