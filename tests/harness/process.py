"""A server in a process of its own: started by its command line, ended by signals, its log read."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tests.harness.forked import start
from tests.harness.raw import Address, exchange, head

T = TypeVar("T")

LIMIT = 90.0  # seconds; a server takes one to start, and on a machine with much else to do many
GAUGES = ("uploads", "spool_bytes", "queued", "slots_taken", "orphaned")


def serve_command(target: str, *options: str) -> list[str]:
    """`inference-gateway serve` on a free port."""
    return [sys.executable, "-m", "inference_gateway.cli", "serve", target, "--port", "0", *options]


def uncovered() -> dict[str, str]:
    """The environment of a process that is not measured.

    A signal's handler that raises may do so within coverage's own lock, which nobody releases then.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def alive(pid: int) -> bool:
    with suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def descendants(pid: int) -> set[int]:
    """The processes that `pid` has started, and theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if stat[0] != "Z":
                    parents[int(entry.name)] = int(stat[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


class Process:
    """A server in a process of its own, run in a folder; its log is collected as it comes."""

    def __init__(self, folder: Path, command: Sequence[str], **settings: object) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")},
            **{f"GATEWAY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.popen = start(folder, command, environment)
        self.lines: list[str] = []
        self._came = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            with self._came:
                self.lines.append(line.rstrip("\n"))
                self._came.notify_all()
        with self._came:
            self._ended = True
            self._came.notify_all()

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def wait_line(self, pattern: str) -> re.Match[str]:
        """The first line of the log that matches."""
        return self.wait_log(lambda: re.search(pattern, self.log, re.MULTILINE), pattern)

    def wait_log(self, found: Callable[[], T | None], what: str) -> T:
        """Until it is found in the log; it is looked for with each line that comes."""
        with self._came:
            self._came.wait_for(lambda: found() or self._ended, LIMIT)
            result = found()
        assert result, f"{what!r} is not in the log:\n{self.log}"
        return result

    @property
    def address(self) -> Address:
        """Where it listens, once it does."""
        match = self.wait_line(r"running on https?://(\S+):(\d+)")
        return match[1], int(match[2])

    def wait_closed(self) -> None:
        """Until it takes no more connections: the first signal has been heard."""
        address = self.address
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            try:
                socket.create_connection(address, timeout=LIMIT).close()
            except OSError:
                return
        raise AssertionError("it still takes connections")

    def wait(self, limit: float = LIMIT) -> int:
        """Its exit code, when its log is read to the end (unless one that it left has it too)."""
        try:
            code = self.popen.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the process did not end:\n{self.log}") from None
        with self._came:
            self._came.wait_for(lambda: self._ended, 2)
        return code

    # What it holds, as Linux tells it

    @property
    def descriptors(self) -> list[str]:
        """What its file descriptors lead to."""
        found = []
        for entry in Path(f"/proc/{self.popen.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since the folder was read
                found.append(os.readlink(entry))
        return found

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.popen.pid}/task"))

    @property
    def memory(self) -> int:
        """Resident bytes, counted page by page: VmRSS leaves out up to 64 pages for each thread."""
        status = Path(f"/proc/{self.popen.pid}/smaps_rollup").read_text()
        found = re.search(r"Rss:\s+(\d+) kB", status)
        assert found
        return int(found[1]) << 10

    @property
    def gauges(self) -> dict[str, float]:
        """What its `/metrics` counts at the moment."""
        get = head(((b"Connection", b"close"),), method=b"GET", target=b"/metrics")
        answer = exchange(self.address, get)
        assert answer is not None
        lines = re.findall(r"^gateway_([a-z_]+)(?:\{.*\})? (\S+)$", answer.body.decode(), re.MULTILINE)
        return {name: float(value) for name, value in lines if name in GAUGES}

    def at_rest(self, folder: Path, sockets: int) -> bool:
        """Whether it is at no request, has no more sockets than that and nothing in the spool folder."""
        if any(self.gauges.values()):
            return False
        held = self.descriptors
        spooled = any(name.startswith(f"{folder}/") for name in held)
        return not spooled and sum(name.startswith("socket:") for name in held) <= sockets

    def end(self) -> None:
        """End it by a signal, so that it can put away what it has, and close it."""
        self.popen.terminate()
        try:
            self.wait()
        finally:
            self.close()

    def close(self) -> None:
        self.popen.kill()
        self.popen.wait()
        self._reader.join()
        assert self.popen.stderr is not None
        self.popen.stderr.close()
