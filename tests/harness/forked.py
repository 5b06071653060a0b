"""`inference-gateway` without its half second of imports: a fork of a process that has them behind it.

Hundreds of tests start a server. All that it does is done by a process of its own, as its command line says;
only the interpreter's start and the modules are not its own. `Forked` is what `subprocess.Popen` would be.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.harness import preloaded

COMMAND = [sys.executable, "-m", preloaded.MODULE]
_lock = threading.Lock()


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LD_"))}


@cache
def _source() -> tuple[socket.socket, Mapping[str, str]]:
    """The process that forks, which ends with this one, and what it has of an interpreter's environment."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment["OPENBLAS_NUM_THREADS"] = "1"  # a fork has one thread
    with theirs:
        command = [sys.executable, str(Path(preloaded.__file__)), str(theirs.fileno())]
        source = subprocess.Popen(
            command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )

    def end() -> None:
        ours.close()
        source.wait()

    atexit.register(end)
    return ours, _of_python(environment)


class Forked:
    """A running `inference-gateway`, whose log is `stderr`."""

    def __init__(self, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        told = {"folder": str(folder), "arguments": command[3:], "environment": dict(environment)}
        message = json.dumps(told).encode()
        assert len(message) < preloaded.LONGEST
        log, writes = os.pipe()
        self._status, tells = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        with _lock:
            source, _ = _source()
            socket.send_fds(source, [message], [nothing, 1, writes, tells])
            self.pid = int(source.recv(100))
        for descriptor in (nothing, writes, tells):
            os.close(descriptor)
        self.stderr = os.fdopen(log)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """As `poll`, when it has ended; `subprocess.TimeoutExpired` where that takes longer."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(COMMAND, timeout or 0)
            self.returncode = int(os.read(self._status, 100))
            os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    folder: Path, command: Sequence[str], environment: Mapping[str, str]
) -> "subprocess.Popen[str] | Forked":
    """Run a command in a folder: a fork if it is ours, for an interpreter as this one is."""
    if list(command[:3]) == COMMAND and sys.platform == "linux" and _source()[1] == _of_python(environment):
        return Forked(folder, command, environment)
    return subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
