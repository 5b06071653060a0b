"""One measurement: a fresh server, warm memory, a load from another process, and what the server used."""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.client import Job, Seen, upload
from benchmarks.servers import Running, Server, running
from benchmarks.workloads import Bodies, Body, Workload, content_type

ROOT = Path(__file__).parent.parent
MIB = 1 << 20
SAMPLE_EVERY = 0.01
SETTLE = 0.5  # seconds after a transfer, before the memory that is left is looked at
REPEATS, ENOUGH = 3, 2.0  # transfers in one round, and the seconds after which no other is begun


class Failed(Exception):
    """The server did not do the work; the reason is what it said."""


@dataclass
class Figures:
    """What one round gave. Rates are per second; memory in bytes above idle, None where it cannot be seen."""

    seconds: float
    rate: float  # bytes or requests per second; for pings the 99th percentile in seconds
    median: float = 0.0  # latency, seconds
    p99: float = 0.0
    worst: float = 0.0
    peak: int | None = None  # sum over the server's processes of VmHWM above idle
    anonymous: int | None = None  # most anonymous memory seen at once above idle
    kept: int | None = None  # resident memory above idle a second later
    cpu: float | None = None  # seconds of processor time, of all transfers of the round
    cpu_each: float | None = None  # the same, of one request


# What a server's processes use, from /proc


class Processes:
    """A process and its descendants. Peaks begin at `reset`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.seen = Path("/proc/self/clear_refs").exists()
        self.idle: dict[int, dict[str, int]] = {}
        self.idle_cpu = 0.0
        self.most_anonymous = 0
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def members(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = Path(f"/proc/{entry}/stat").read_text()
                except OSError:
                    continue
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
        found = [self.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def reset(self) -> None:
        if not self.seen:
            return
        for pid in self.members():
            Path(f"/proc/{pid}/clear_refs").write_text("5")
            self.idle[pid] = memory_of(pid)
        self.idle_cpu = self.cpu()
        self._sampler.start()

    def fill(self, figures: Figures) -> None:
        if not self.seen:
            return
        figures.cpu = self.cpu() - self.idle_cpu
        members = self.members()
        figures.peak = sum(memory_of(pid)["VmHWM"] - self._idle_of(pid, "VmRSS") for pid in members)
        self._ended.set()
        self._sampler.join()
        figures.anonymous = max(0, self.most_anonymous - sum(idle["RssAnon"] for idle in self.idle.values()))
        time.sleep(SETTLE)
        figures.kept = sum(memory_of(pid)["VmRSS"] - self._idle_of(pid, "VmRSS") for pid in self.members())

    def _idle_of(self, pid: int, name: str) -> int:
        return self.idle[pid][name] if pid in self.idle else 0

    def _sample(self) -> None:
        turn, members = 0, list(self.idle)
        while not self._ended.wait(SAMPLE_EVERY):
            turn += 1
            if turn % 50 == 0:
                members = self.members()
            self.most_anonymous = max(self.most_anonymous, sum(memory_of(pid)["RssAnon"] for pid in members))

    def cpu(self) -> float:
        """Seconds of processor time since they began."""
        ticks = 0
        for pid in self.members():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> dict[str, int]:
    wanted = {"VmHWM": 0, "VmRSS": 0, "RssAnon": 0}
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                name, _, value = line.partition(":")
                if name in wanted:
                    wanted[name] = int(value.split()[0]) * 1024
    except OSError:
        pass
    return wanted


# Load


def start_client(job: Job) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.client"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(job)).encode())
    process.stdin.close()
    return process


def result_of(process: subprocess.Popen[bytes]) -> Seen:
    assert process.stdout is not None
    output = process.stdout.read()
    if process.wait():
        raise Failed("the load process failed")
    return Seen(**json.loads(output))


def warm_memory(size: int) -> None:
    """Touch and give back `size` bytes: on a virtual machine the first touch is slow, whoever pays for it."""
    if not size:
        return
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    size = min(size, available // 2)
    # A file, since that is what most servers make of a body: pages that were a file's come back as a file's.
    fd = os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        block = bytes(4 << 20)
        for start in range(0, size, len(block)):
            os.pwrite(fd, block, start)
    finally:
        os.close(fd)


def measure(server: Server, workload: Workload, bodies: Bodies, log: Path) -> Figures:
    body = bodies.body_of(workload)
    with running(server, workload, log) as up:
        greet(up, bodies.smallest())
        processes = Processes(up.pid)
        warm_memory(workload.memory_to_warm(server.holds))
        processes.reset()
        figures = {"rate": bulk, "requests": requests, "ping": pings}[workload.kind](up, workload, body)
        processes.fill(figures)
        return figures


def greet(up: Running, smallest: Body) -> None:
    """Two requests, so that what is imported and allocated once is not what is measured."""
    for _ in range(2):
        seen = upload(
            Job("upload", up.port, up.server.paths[""], content_type(up.server.subtype), str(smallest.file))
        )
        if seen.error:
            raise Failed(seen.error)


def job_for(up: Running, workload: Workload, body: Body) -> Job:
    return Job(
        "upload",
        up.port,
        path=up.server.paths[workload.answer],
        content_type=content_type(up.server.subtype),
        body_file=str(body.file),
        framed=body.framed,
        connections=workload.connections,
    )


def bulk(up: Running, workload: Workload, body: Body) -> Figures:
    """The median of some transfers, one after the other."""
    moved = workload.answer_bytes if workload.answer else workload.payload
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < ENOUGH:
        # Before each: a virtual machine gives freed pages back to its host within seconds.
        warm_memory(workload.memory_to_warm(up.server.holds))
        seen = result_of(start_client(job_for(up, workload, body)))
        check(up.server, workload, seen)
        seconds.append(seen.seconds)
    middle = statistics.median(seconds)
    return Figures(middle, moved / middle)


def requests(up: Running, workload: Workload, body: Body) -> Figures:
    job = Job(**{**asdict(job_for(up, workload, body)), "kind": "small", "seconds": workload.seconds})
    processes = Processes(up.pid)
    cpu = processes.cpu()
    seen = result_of(start_client(job))
    check(up.server, workload, seen)
    figures = with_latencies(Figures(seen.seconds, seen.requests / seen.seconds), seen)
    if processes.seen:  # the tenth of the time that warms up is in the one and not in the other
        figures.cpu_each = 0.9 * (processes.cpu() - cpu) / seen.requests
    return figures


def pings(up: Running, workload: Workload, body: Body) -> Figures:
    load = None
    if workload.connections:
        kind = "upload" if workload.bulk else "small"
        job = Job(**{**asdict(job_for(up, workload, body)), "kind": kind, "seconds": workload.seconds + 1.0})
        load = start_client(job)
        time.sleep(0.5)
    seen = result_of(start_client(Job("ping", up.port, path=up.server.ping, seconds=workload.seconds)))
    if load is not None:
        check(up.server, workload, result_of(load))
    if seen.error or seen.status != 200:
        raise Failed(seen.error or f"a probe was answered {seen.status}")
    figures = with_latencies(Figures(seen.seconds, 0.0), seen)
    figures.rate = figures.p99
    return figures


def with_latencies(figures: Figures, seen: Seen) -> Figures:
    ordered = sorted(seen.latencies)
    if not ordered:
        raise Failed("not one request came to its end")
    figures.median = statistics.median(ordered)
    figures.p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    figures.worst = ordered[-1]
    return figures


def check(server: Server, workload: Workload, seen: Seen) -> None:
    """The work was done: everything answered, everything counted, the whole answer received."""
    if seen.error:
        raise Failed(seen.error)
    if workload.answer and seen.received < workload.answer_bytes:
        raise Failed(f"only {seen.received} of {workload.answer_bytes} bytes came back")
    if workload.answer:
        return
    if not server.counts_parts:
        received = re.search(r'"received": ?(\d+)', seen.answer)
        if not received or int(received[1]) < workload.parts * workload.part_bytes:
            raise Failed(f"it did not read everything: {seen.answer[-200:]}")
        return
    inputs = re.search(r'"inputs": ?(\d+)', seen.answer)
    size = re.search(r'"bytes": ?(\d+)', seen.answer)
    counted = (int(inputs[1]), int(size[1])) if inputs and size else None
    if counted != (workload.parts, workload.parts * workload.part_bytes):
        raise Failed(f"it counted {counted} inputs and bytes: {seen.answer[:200]}")


def sha256_rate() -> float:
    """Bytes per second of one core, over a block that does not fit the cache of a core."""
    block = os.urandom(64 * MIB)
    begin = time.perf_counter()
    for _ in range(4):
        hashlib.sha256(block)
    return 4 * len(block) / (time.perf_counter() - begin)
