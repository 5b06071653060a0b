"""A gateway in a process of its own, for as long as a `with` block lasts."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

# Seconds between asking whether the gateway is ready, and for its orderly end.
_POLL = 0.05
_GRACE = 5.0

_TAIL_LINES = 15


class DemoError(Exception):
    """The demo cannot go on; the message says what to do."""


def serve_command(model: str, port: int) -> list[str]:
    """Return the command that serves the embedded model of that name on a port of this machine."""
    return [sys.executable, "-m", "inference_gateway.cli", "serve", f"demo:{model}", "--port", str(port)]


def free_port() -> int:
    """Return a TCP port that nothing on this machine listens on at the moment."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_gateway(command: Sequence[str], port: int, log: Path, limit: float) -> Iterator[None]:
    """Run `command` until the block ends, however it ends; the block begins when the gateway is ready.

    What the gateway writes goes to the file `log`. `limit`: seconds that it may take to become ready. Raises
    `DemoError`, with the end of the log, where the gateway ends or is not ready in time.
    """
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - the command is this package's own
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            _wait_until_ready(process, port, log, limit)
            yield
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path, limit: float) -> None:
    end = time.monotonic() + limit
    while not _is_ready(port):
        if process.poll() is not None:
            raise DemoError(f"the gateway ended with exit code {process.returncode}.{_tail(log)}")
        if time.monotonic() > end:
            hint = "try again with a larger --start-limit"
            raise DemoError(f"the gateway was not ready after {limit:g} s: {hint}.{_tail(log)}")
        time.sleep(_POLL)


def _is_ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)) as connection:
        try:
            connection.request("GET", "/healthcheck")
            response = connection.getresponse()
            return response.status == 200 and response.read().strip() == b"READY"
        except (OSError, http.client.HTTPException):
            return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, and make it end when it does not; an interrupt shortens the wait."""
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
    except BaseException:
        process.kill()
        raise


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
    return (
        "".join(f"\n  | {line}" for line in ["The end of its log:", *lines])
        if lines
        else " Its log is empty."
    )
