"""`python -m soak`: traffic in rounds; after each the server comes to rest and is measured.

Every round is the same work: each of six clients does everything there is once, in an order of its own.
Before each sample the server collects its garbage and gives free memory back: what is measured then is what
something holds. Two slopes are taken: of the resident memory, with what the allocators' fragments add, and of
the blocks that Python's objects take, which is exact. Exit code 0: neither grows (the 95 % confidence
interval of its slope reaches down to zero), a leak of 64 KiB in a round would have been seen, descriptors and
threads are the same at rest, every client saw what it must see. Else 1.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.servers import Unavailable, programs
from tests.harness.process import Process, serve_command
from tests.harness.raw import Address

from soak.traffic import SECRET, TRAFFIC, tidies_up

HERE = Path(__file__).parent
RESULTS = HERE / "results"
CLIENTS = 6
REST_LIMIT = 20.0
WARM_UP = 0.25  # of the samples: caches and pools fill
FLOOR = 3  # samples of which the least counts
BLOCK = 3  # floors that are drawn together, since what is near in time is alike
DRAWS = 2000
ARENA = 1 << 20  # bytes that Python's allocator takes at once, and gives back when none of it is in use
CACHED = 300  # blocks: what is kept for the next time, more or less of it
TELLING = 64 << 10  # bytes a round: a wider interval tells nothing


@dataclass(frozen=True)
class Sample:
    """The server at rest. `seconds` since the start; `rss` in bytes, before and after it has tidied up.

    `blocks`: of memory that Python's objects take.
    """

    seconds: float
    rss_before: int
    rss: int
    blocks: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Slope:
    """Of something per second, with the ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def slope(samples: list[tuple[float, int]], resolution: int) -> Slope:
    """A line through the floor of (seconds, figure): the least of every three samples.

    What is in use for a moment lifts a sample, what leaks lifts the floor. The slope is the median of those
    between each two floors (Theil-Sen), so that no single one decides. The interval is by bootstrap: what is
    beside the line is drawn anew, several in a row together. It is widened by `resolution`, which comes and
    goes without a leak.
    """
    pairs = np.array(samples, dtype=float)
    blocks = np.array_split(pairs, len(pairs) // FLOOR)
    x, y = np.array([block[block[:, 1].argmin()] for block in blocks]).T
    value = theil_sen(x, y)
    beside = y - value * x
    beside -= np.median(beside)
    count = len(x)
    chosen = np.random.default_rng(0)
    starts = chosen.integers(0, count, (DRAWS, -(-count // BLOCK)))
    indices = (starts[:, :, None] + np.arange(BLOCK)).reshape(DRAWS, -1)[:, :count] % count
    low, high = np.quantile([theil_sen(x, value * x + drawn) for drawn in beside[indices]], [0.025, 0.975])
    margin = resolution / (x[-1] - x[0])
    return Slope(value, float(low) - margin, float(high) + margin)


def theil_sen(x: Any, y: Any) -> float:
    """The median of the slopes between each two points."""
    first, second = np.triu_indices(len(x), 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


class Clients:
    """Threads that do everything there is, once in each round."""

    def __init__(self, address: Address, seed: int) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._seed = seed
        self.rounds = 0
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []

    def _run(self, number: int) -> None:
        names = list(TRAFFIC)
        random.Random(f"{self._seed} {self.rounds} {number}").shuffle(names)
        for name in names:
            try:
                TRAFFIC[name](self._address)
            except (AssertionError, OSError) as error:
                with self._lock:
                    self.wrong.append(f"{name}: {type(error).__name__}: {error}")
            with self._lock:
                self.done[name] += 1

    def round(self) -> None:
        """Returns when all are done."""
        self.rounds += 1
        threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def measured(process: Process, spool: Path, sockets: int, begin: float) -> Sample:
    """The server, once it has nothing to do."""
    wait_for_rest(process, spool, sockets)
    before, blocks = process.memory, tidies_up(process.address)
    wait_for_rest(process, spool, sockets)
    seconds = time.monotonic() - begin
    return Sample(seconds, before, process.memory, blocks, len(process.descriptors), process.threads)


def wait_for_rest(process: Process, spool: Path, sockets: int) -> None:
    end = time.monotonic() + REST_LIMIT
    while not process.at_rest(spool, sockets):
        if time.monotonic() > end:
            raise SystemExit(f"the server does not come to rest: {process.gauges}, {process.descriptors}")
        time.sleep(0.02)


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
                clients.round()
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
    if len(settled) < 4 * FLOOR:
        parser.error("too few samples: soak for longer")
    line = slope([(each.seconds, each.rss) for each in settled], ARENA)
    objects = slope([(each.seconds, each.blocks) for each in settled], CACHED)
    pace = (settled[-1].seconds - settled[0].seconds) / (len(settled) - 1)  # seconds a round
    constant = len({(each.descriptors, each.threads) for each in settled}) == 1
    failures = [
        *(["memory grows"] if line.low > 0 else []),
        *(["Python's objects grow in number"] if objects.low > 0 else []),
        *(["the memory's slope is too uncertain"] if (line.high - line.low) * pace > TELLING else []),
        *([] if constant else ["descriptors or threads at rest are not constant"]),
        *clients.wrong[:20],
    ]
    results = {
        "seconds": chosen.seconds,
        "seed": chosen.seed,
        "requests": dict(sorted(clients.done.items())),
        "seconds_a_round": pace,
        "slope_bytes_per_second": asdict(line),
        "slope_blocks_per_second": asdict(objects),
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
    first, last = settled[0], settled[-1]
    kib = [3600 * each / 1024 for each in (line.value, line.low, line.high)]
    print(
        f"{clients.done.total()} requests in {len(samples)} rounds of {pace:.2f} s\n"
        f"memory: {first.rss >> 10} to {last.rss >> 10} KiB, slope of its floor {kib[0]:+.0f} KiB/h "
        f"(95 %: {kib[1]:+.0f} to {kib[2]:+.0f}), in a round {pace * line.low:+.0f} to "
        f"{pace * line.high:+.0f} bytes\n"
        f"Python's objects: {first.blocks} to {last.blocks} blocks, in a round {pace * objects.value:+.1f} "
        f"(95 %: {pace * objects.low:+.1f} to {pace * objects.high:+.1f})\n"
        f"descriptors {first.descriptors} to {last.descriptors}, threads {first.threads} to {last.threads}\n"
        f"Written: {figures.relative_to(HERE.parent)}, {picture.relative_to(HERE.parent)}"
    )
    print("\n".join(failures) or "nothing leaks: no slope can be told from zero, or it falls")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
