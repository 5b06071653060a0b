"""`python -m soak`: traffic in rounds; after each the server comes to rest and is measured.

Exit code 0: memory does not grow (the 95 % confidence interval of its slope reaches down to zero),
descriptors and threads are the same at rest, every client saw what it must see. Else 1.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from benchmarks.servers import Unavailable, programs
from tests.harness.process import Process, serve_command
from tests.harness.raw import Address

from soak.traffic import SECRET, TRAFFIC

HERE = Path(__file__).parent
RESULTS = HERE / "results"
CLIENTS = 6
ROUND = 3.0  # seconds of traffic between two samples
REST_LIMIT = 20.0
WARM_UP = 0.25  # of the samples: caches, pools and the allocator fill
BLOCKS = 16
RESOLUTION = 256 << 10  # bytes: each thread has up to 64 pages that VmRSS does not count yet
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145)
"""Student's t for 1, 2, ... degrees of freedom: a line through n points has n - 2."""


@dataclass(frozen=True)
class Sample:
    """The server at rest. `seconds` since the start; `rss` in bytes."""

    seconds: float
    rss: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Slope:
    """Bytes per second, with the ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def slope(samples: list[Sample]) -> Slope:
    """A line through the floor of the memory: the least of each block of samples.

    At rest the allocator keeps some megabytes of what the last burst took, more or less of it each time.
    What leaks is never given back, so it lifts the floor. The interval is widened by what the kernel's figure
    may be wrong by at both ends.
    """
    count = min(BLOCKS, len(samples))
    pairs = np.array([(each.seconds, each.rss) for each in samples], dtype=float)
    x, y = np.array([block[block[:, 1].argmin()] for block in np.array_split(pairs, count)]).T
    spread = x - x.mean()
    value = float((spread * (y - y.mean())).sum() / (spread**2).sum())
    rest = y - y.mean() - value * spread
    error = T_975[count - 3] * float(np.sqrt((rest**2).sum() / (count - 2) / (spread**2).sum()))
    error += RESOLUTION / (pairs[-1, 0] - pairs[0, 0])
    return Slope(value, value - error, value + error)


class Clients:
    """Threads that do a random thing each, over and over, until the block ends."""

    def __init__(self, address: Address, seed: int) -> None:
        self._address = address
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._seed = seed
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []

    def _run(self, seed: int) -> None:
        chosen = random.Random(seed)
        while not self._stop.is_set():
            name = chosen.choice(list(TRAFFIC))
            try:
                TRAFFIC[name](self._address)
            except (AssertionError, OSError) as error:
                with self._lock:
                    self.wrong.append(f"{name}: {type(error).__name__}: {error}")
            with self._lock:
                self.done[name] += 1

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._stop.clear()
        self._seed += CLIENTS
        threads = [
            threading.Thread(target=self._run, args=(self._seed + number,)) for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()


def measured(process: Process, spool: Path, sockets: int, begin: float) -> Sample:
    """The server, once it has nothing to do."""
    end = time.monotonic() + REST_LIMIT
    while not process.at_rest(spool, sockets):
        if time.monotonic() > end:
            raise SystemExit(f"the server does not come to rest: {process.gauges}, {process.descriptors}")
        time.sleep(0.02)
    return Sample(time.monotonic() - begin, process.memory, len(process.descriptors), process.threads)


def soak(seconds: float, seed: int) -> tuple[list[Sample], Clients]:
    """Runs server and clients for so long."""
    with tempfile.TemporaryDirectory() as name:
        spool = Path(name)
        process = Process(HERE.parent, serve_command("soak.model:model"), spool_dir=spool)
        try:
            clients = Clients(process.address, seed)
            sockets = sum(held.startswith("socket:") for held in process.descriptors)
            samples: list[Sample] = []
            begin = time.monotonic()
            while time.monotonic() - begin < seconds:
                with clients.at_work():
                    time.sleep(ROUND)
                samples.append(measured(process, spool, sockets, begin))
                if len(samples) % 20 == 0:
                    print(f"{samples[-1]}, {clients.done.total()} requests", flush=True)
        finally:
            process.close()
    if SECRET.decode() in process.log:
        clients.wrong.append("the log has something of the input")
    return samples, clients


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    chosen = parser.parse_args()
    print(f"{chosen.seconds:.0f} s of traffic, seed {chosen.seed}", flush=True)
    samples, clients = soak(chosen.seconds, chosen.seed)
    settled = samples[int(len(samples) * WARM_UP) :]
    if len(settled) < 3:
        parser.error("too few samples: soak for longer")
    line = slope(settled)
    constant = len({(each.descriptors, each.threads) for each in settled}) == 1
    failures = [
        *(["memory grows"] if line.low > 0 else []),
        *([] if constant else ["descriptors or threads at rest are not constant"]),
        *clients.wrong[:20],
    ]
    results = {
        "seconds": chosen.seconds,
        "seed": chosen.seed,
        "requests": dict(sorted(clients.done.items())),
        "slope_bytes_per_second": asdict(line),
        "samples": [asdict(each) for each in samples],
        "settled_from": settled[0].seconds,
        "failures": failures,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    figures, picture = RESULTS / "soak.json", RESULTS / "soak.png"
    figures.write_text(json.dumps(results, indent=1))
    try:
        python = programs("plot") / "python"
        subprocess.run([str(python), str(HERE / "plot.py"), str(figures), str(picture)], check=True)
    except (Unavailable, subprocess.CalledProcessError) as reason:
        print(f"no picture: {reason}", file=sys.stderr)
    kib = [3600 * each / 1024 for each in (line.value, line.low, line.high)]
    first, last = settled[0], settled[-1]
    print(
        f"{clients.done.total()} requests, {len(samples)} samples; memory {first.rss >> 10} to "
        f"{last.rss >> 10} KiB, slope of its floor {kib[0]:+.0f} KiB/h (95 %: {kib[1]:+.0f} to "
        f"{kib[2]:+.0f}); descriptors {first.descriptors} to {last.descriptors}, threads {first.threads} to "
        f"{last.threads}\nWritten: {figures.relative_to(HERE.parent)}, {picture.relative_to(HERE.parent)}"
    )
    print("\n".join(failures) or "nothing leaks: the slope cannot be told from zero or falls")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
