"""`/ping` while the server is busy: 500 idle connections, 8 uploads, a model that computes in pure Python.

`python -m benchmarks.probes`: prints the percentiles; exit code 1 where p99 is 100 ms or more.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

IDLE, UPLOADS, LIMIT = 500, 8, 0.100
MIB = 1 << 20
HERE = Path(__file__).parent
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/related; boundary=b\r\n"
BEGIN = b"--b\r\n\r\n{}\r\n--b\r\n\r\n"
END = b"\r\n--b--\r\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=50, help="pings per second (default 50)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as spool:
        environment = {**os.environ, "GATEWAY_SPOOL_DIR": spool, "GATEWAY_KEEP_ALIVE_TIMEOUT": "none"}
        environment["GATEWAY_HEADER_TIMEOUT"] = "none"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "inference_gateway.cli", "serve", "computing:model"]
        server = subprocess.Popen(
            [*command, "--port", str(port)], cwd=HERE / "apps", env=environment, stderr=subprocess.DEVNULL
        )
        try:
            before, delays, uploaded = measure(port, chosen.seconds, chosen.rate)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    percentiles = statistics.quantiles(delays, n=100)
    print(
        f"{len(delays)} pings beside {IDLE} idle connections, {UPLOADS} uploads ({uploaded} done) and a "
        f"model in pure Python: median {percentiles[49] * 1e3:.1f} ms, p99 {percentiles[98] * 1e3:.1f} ms, "
        f"longest {max(delays) * 1e3:.1f} ms; p99 without load, for what the machine adds: "
        f"{statistics.quantiles(before, n=100)[98] * 1e3:.1f} ms"
    )
    return int(percentiles[98] >= LIMIT)


def measure(port: int, seconds: float, rate: float) -> tuple[list[float], list[float], int]:
    """Delays of pings in seconds, before the load and under it; how many uploads were answered."""
    wait_for(port)
    before = ping(port, time.monotonic() + seconds / 4, rate)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(IDLE)]
    end = time.monotonic() + seconds
    answered: list[int] = []
    uploads = [threading.Thread(target=upload, args=(port, end, answered)) for _ in range(UPLOADS)]
    for thread in uploads:
        thread.start()
    delays = ping(port, end, rate)
    for thread in uploads:
        thread.join()
    for each in idle:
        each.close()
    return before, delays, len(answered)


def ping(port: int, end: float, rate: float) -> list[float]:
    """Delays of pings until `end`, each counted from when it was due."""
    delays = []
    due = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while due < end:
        time.sleep(max(0.0, due - time.monotonic()))
        connection.request("GET", "/ping")
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        delays.append(time.monotonic() - due)
        due += 1 / rate
    connection.close()
    return delays


def upload(port: int, end: float, answered: list[int]) -> None:
    """One upload after the other, at some 20 MB/s each, as a network would bring them."""
    size = 40 * MIB
    length = len(BEGIN) + size + len(END)
    while time.monotonic() < end:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % length + BEGIN)
            for _ in range(size // MIB):
                connection.sendall(bytes(MIB))
                time.sleep(0.05)
            connection.sendall(END)
            status = connection.makefile("rb").readline().split()[1]
            assert status in (b"200", b"503"), status
            answered.append(int(status))


def wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    sys.exit(main())
