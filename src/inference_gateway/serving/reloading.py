"""A model that starts again when its source changes: the parent process of `inference-gateway serve --dev`.

The parent holds the port, so that a client that comes meanwhile waits instead of being refused, and the
folder with the last report, so that a restart does not lose it. It never loads the model: a child does, as a
worker of `--workers` does, and one that cannot even be imported is started again at the next change.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import cache_from_source
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from inference_gateway.extras import extra
from inference_gateway.serving.exit_codes import EXIT_SETUP_FAILED
from inference_gateway.serving.supervisor import open_port, start_worker
from inference_gateway.telemetry.logs import logger

with extra("author", needs="serve --dev"):
    import watchfiles

_TICK = 200  # milliseconds between two looks at the child
_GRACE = 2.0  # seconds that the old one has: its author waits for the new one


class _Sources(watchfiles.PythonFilter):
    """Python files, but for those of environments and installed packages."""

    ignore_dirs = (*watchfiles.PythonFilter.ignore_dirs, "site-packages")


def only_here(host: str) -> bool:
    """Tell whether a host, by name or address, can be reached from this machine only."""
    with suppress(OSError):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return all(ip_address(str(address[0])).is_loopback for *_, address in found)
    return False


def serve_and_reload(arguments: Sequence[str], *, host: str, port: int, scheme: str) -> int:
    """Run `inference-gateway serve` with `arguments`, again whenever a Python file changes.

    Looked at: the current folder and those of PYTHONPATH, with all below. Returns the exit code, after a
    signal. Raises `ModuleNotFoundError` without the extra `author`.
    """
    listener = open_port(host, port)
    if listener is None:
        return EXIT_SETUP_FAILED
    with listener, TemporaryDirectory(prefix="inference-gateway-dev-") as reports, _stopped() as stop:
        logging.getLogger("watchfiles").setLevel(logging.WARNING)
        address = listener.getsockname()
        logger.info("running on %s://%s:%d, for this machine only (--dev)", scheme, address[0], address[1])
        logger.warning("its answers show tracebacks of the model, which may hold what is of a patient")
        logger.info("the report of the last request: %s", (Path(reports) / "report.html").as_uri())
        command = [sys.executable, "-m", "inference_gateway.cli", "serve", f"--reports={reports}", *arguments]
        try:
            _run(command, listener, stop)
        except (OSError, RuntimeError) as error:  # watchfiles has its own of the latter
            logger.error("this folder cannot be watched (%s): run it in one with fewer below it", error)
            return EXIT_SETUP_FAILED
    return 0


def _run(command: Sequence[str], listener: socket.socket, stop: threading.Event) -> None:
    child: _Child | None = None
    try:
        for changes in _changes(stop):
            if changes and child is not None:
                names = sorted({Path(path).name for _, path in changes})
                logger.info("%s changed: starting again", ", ".join(names))
                child.end()
                child = None
                for _, path in changes:  # two changes in one second look the same to Python's cache
                    Path(cache_from_source(path)).unlink(missing_ok=True)
            if child is None:
                child = _Child(command, listener)
            elif child.has_ended():
                logger.warning("the model does not run: it starts again when its source changes")
    finally:
        if child is not None:
            child.end()


def _changes(stop: threading.Event) -> Iterator[set[tuple[watchfiles.Change, str]]]:
    """Yield what has changed, and nothing each time that nothing has."""
    paths = [Path(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    return watchfiles.watch(
        Path.cwd(),
        *(path for path in paths if path.is_dir()),
        watch_filter=_Sources(),
        stop_event=stop,
        rust_timeout=_TICK,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )


class _Child:
    """One run of the model's server."""

    def __init__(self, command: Sequence[str], listener: socket.socket) -> None:
        self._process, self._pipe = start_worker(command, 0, listener)
        self._told = False

    def has_ended(self) -> bool:
        """Tell, once, that it has ended by itself."""
        news = not self._told and self._process.poll() is not None
        self._told = self._told or news
        return news

    def end(self) -> None:
        """Have it drain, and kill it where that takes long."""
        self._process.terminate()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._pipe)


@contextmanager
def _stopped() -> Iterator[threading.Event]:
    """Return what SIGTERM, Ctrl-C and a terminal that is closed set."""
    stop = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
