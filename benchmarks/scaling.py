"""What a model on another node costs, beside one on the gateway's own: two nodes of Ray on this machine.

`python -m benchmarks.scaling` (extra `ray`): a gateway for each node, asked in turn. Told are the medians,
their ratio, and what each gateway's process took at the most over what it had at rest: memory of its own,
and memory for the result, which on the gateway's node is the actor's, too.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.isolation import HERE, MIB, ask, in_turn
from benchmarks.probes import wait_for

PLACES = ("near", "far")
STORE = 200 * MIB


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--study", type=int, default=500, help="MB (default 500)")
    parser.add_argument("--mask", type=int, default=200, help="MB (default 200)")
    parser.add_argument("--rounds", type=int, default=7, help="requests to each gateway (default 7)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, address = Path(name), stack.enter_context(cluster())
        memories: dict[int, Memory] = {}
        ports: dict[str, int] = {}
        for place in PLACES:
            port, pid = stack.enter_context(gateway(place, address, folder))
            ports[place], memories[port] = port, Memory(pid)
        asked = {"mask": chosen.mask * 1_000_000, "shared": True}

        def seconds(port: int) -> float:
            with memories[port]:
                taken, answered = ask(port, folder, asked, chosen.study * 1_000_000)
            assert answered
            return taken

        found = in_turn(ports, chosen.rounds, seconds)
        print(
            f"{chosen.study} MB study, {chosen.mask} MB mask: on the gateway's node {found['near']:.2f} s, "
            f"on another {found['far']:.2f} s: {found['far'] / found['near']:.2f} times as long"
        )
        for place, port in ports.items():
            print(f"{place}: {memories[port]}")


@contextmanager
def cluster() -> Iterator[str]:
    """Two nodes; gives the head's address."""
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"})
    from ray.cluster_utils import Cluster

    head = {"include_dashboard": False}
    both = {"num_cpus": 4, "object_store_memory": STORE}
    found = Cluster(initialize_head=True, head_node_args={**head, **both, "resources": {"near": 9}})
    try:
        found.add_node(**both, resources={"far": 9})
        yield found.address
    finally:
        found.shutdown()


@contextmanager
def gateway(place: str, address: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Serve; gives port and process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    environment = {
        "PLACE": place,
        "RAY_ADDRESS": address,
        "GATEWAY_SPOOL_DIR": str(folder),
        "GATEWAY_KEEP_ALIVE_TIMEOUT": "none",
        "GATEWAY_VALIDATE": "off",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "inference_gateway.cli", "serve", "on_ray:app", "--port", str(port)],
        cwd=HERE / "apps",
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        while not ask(port, folder, {})[1]:
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


class Memory:
    """The most that a process took within `with` blocks over what it had before: of its own, and shared."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._most = (0, 0)
        self._rounds = 0

    def _now(self) -> tuple[int, int]:
        found = dict(re.findall(r"^Rss(Anon|Shmem):\s+(\d+) kB$", self._status.read_text(), re.MULTILINE))
        return int(found["Anon"]), int(found["Shmem"])

    def __enter__(self) -> None:
        self._before = self._now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        self._rounds += 1
        while not self._over.wait(0.01):
            if self._rounds > 1:  # the first request warms up
                own, shared = (now - before for now, before in zip(self._now(), self._before, strict=True))
                self._most = max(self._most[0], own), max(self._most[1], shared)

    def __str__(self) -> str:
        own, shared = (each / 1024 for each in self._most)
        return f"{own:.0f} MiB of the gateway's own, {shared:.0f} MiB of shared memory"


if __name__ == "__main__":
    main()
