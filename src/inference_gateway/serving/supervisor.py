"""Several worker processes behind one port: what `inference-gateway serve --workers` runs.

The parent opens the port and starts the workers, each of them a `serve` of its own on the same socket. It
never loads the model. A worker that dies is replaced; one that cannot start ends them all. It also runs as
process 1 of a container, where it reaps the processes that others leave behind.

A worker's event loop sends a byte a second through a pipe. A model that holds Python's lock stops that: so
the limit (`worker_timeout`) is long, and there is no shorter one. A worker that finds the other end of its
pipe closed drains and ends: it has no parent any more.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from inference_gateway.serving.exit_codes import EXIT_SETUP_FAILED, READY
from inference_gateway.telemetry import sheets
from inference_gateway.telemetry.logs import logger

_TICK = 1.0  # seconds between two looks at the workers
_GRACE = 5.0  # seconds a worker gets to end by itself after its drain
_FAILED_STARTS = 5  # workers in a row that died before they were ready: then there is no point in going on


@dataclass(eq=False)
class _Worker:
    number: int
    process: subprocess.Popen[bytes]
    pipe: int
    heard: float  # by time.monotonic(): its last sign of life, or its start
    open: bool = True  # the pipe has not come to its end
    ready: bool = False  # it has said so

    def listen(self) -> bool:
        """Take what has come through the pipe; return whether it was anything."""
        try:
            beats = os.read(self.pipe, 1 << 16)
        except BlockingIOError:
            return False
        self.open = bool(beats)
        self.ready = self.ready or READY in beats
        if beats:
            self.heard = time.monotonic()
        return bool(beats)


class Supervisor:
    """Runs `count` workers on `listener` until a signal comes or they cannot start.

    `command`: of a worker; it gets `--worker NUMBER LISTENER PIPE` as its last arguments, the latter two as
    descriptors, and `--counts`, the one of their metrics. `drain_timeout`, `worker_timeout`: seconds or None.
    """

    def __init__(
        self,
        command: Sequence[str],
        listener: socket.socket,
        count: int,
        *,
        drain_timeout: float | None,
        worker_timeout: float | None,
    ) -> None:
        self._command = command
        self._listener = listener
        self._count = count
        self._counts = sheets.make(count)
        self._drain_timeout = drain_timeout
        self._worker_timeout = worker_timeout
        self._workers: dict[int, _Worker] = {}  # by process id
        self._started = False  # some worker has been heard: what all of them import can be imported
        self._failed_starts = 0
        self._start_at = 0.0
        self._signals = 0
        self._exit_code: int | None = None  # they have been told to end
        self._kill_at: float | None = None

    def run(self) -> int:
        """Return the exit code: 0 after a signal, else that of a worker that could not start."""
        with self._woken_by_signals() as wake:
            while True:
                if self._signals:  # first: what they have ended since is no failure
                    self._stop(0)
                self._reap()
                if self._exit_code is None:
                    self._start_missing()
                    self._kill_silent()
                elif not self._workers:
                    return self._exit_code
                elif self._signals > 1 or (self._kill_at is not None and time.monotonic() >= self._kill_at):
                    self._signal(signal.SIGKILL, *self._workers.values())
                self._listen(wake)

    @contextmanager
    def _woken_by_signals(self) -> Iterator[int]:
        """Return a descriptor that is readable when a signal has come."""
        wake, end = os.pipe()
        for each in (wake, end):
            os.set_blocking(each, False)
        handlers = {
            signal.SIGTERM: self._count_signal,
            signal.SIGINT: self._count_signal,
            signal.SIGCHLD: lambda *_: None,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(wake)
            os.close(end)

    def _count_signal(self, *_: object) -> None:
        self._signals += 1

    def _start_missing(self) -> None:
        """Start the first worker alone, so that what is wrong with all is said once; then the others."""
        wanted = self._count if self._started else 1
        while len(self._workers) < wanted and time.monotonic() >= self._start_at:
            taken = {worker.number for worker in self._workers.values()}
            self._start(next(number for number in range(1, self._count + 1) if number not in taken))

    def _start(self, number: int) -> None:
        process, pipe = start_worker(self._command, number, self._listener, self._counts)
        self._workers[process.pid] = _Worker(number, process, pipe, time.monotonic())
        logger.info("worker %d: process %d", number, process.pid)

    def _listen(self, wake: int) -> None:
        """Wait for a signal or a worker's sign of life, a second at most."""
        pipes = [worker.pipe for worker in self._workers.values() if worker.open]
        select.select([wake, *pipes], [], [], _TICK)
        while _read(wake):
            pass
        for worker in self._workers.values():
            self._started |= worker.listen()

    def _reap(self) -> None:
        """Take notice of every process that has ended; as process 1, of other people's too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                worker.listen()
                os.close(worker.pipe)
                sheets.bury(self._counts, worker.number)
                worker.process.returncode = os.waitstatus_to_exitcode(status)
                self._ended(worker, worker.process.returncode)

    def _ended(self, worker: _Worker, code: int) -> None:
        if self._exit_code is not None:
            return
        logger.error(
            "worker %d: process %d has ended by %s",
            worker.number,
            worker.process.pid,
            f"signal {-code}" if code < 0 else f"itself, exit code {code}",
        )
        if code == EXIT_SETUP_FAILED or (code > 0 and not worker.ready):
            self._stop(code)
        elif worker.ready:
            self._failed_starts = 0
        else:
            self._failed_starts += 1
            self._start_at = time.monotonic() + _TICK
            if self._failed_starts == _FAILED_STARTS:
                logger.error("%d workers died before they were ready: giving up", _FAILED_STARTS)
                self._stop(EXIT_SETUP_FAILED)

    def _stop(self, exit_code: int) -> None:
        """Has the workers drain."""
        if self._exit_code is not None:
            return
        self._exit_code = exit_code
        self._listener.close()
        if self._drain_timeout is not None:
            self._kill_at = time.monotonic() + self._drain_timeout + _GRACE
        self._signal(signal.SIGTERM, *self._workers.values())

    def _kill_silent(self) -> None:
        if self._worker_timeout is None:
            return
        for worker in self._workers.values():
            if time.monotonic() - worker.heard > self._worker_timeout:
                logger.error("worker %d: nothing heard for %s s", worker.number, self._worker_timeout)
                self._signal(signal.SIGKILL, worker)

    def _signal(self, number: int, *workers: _Worker) -> None:
        """Not by `Popen`: it reaps one that has ended, and `_reap` would wait for that one for ever."""
        for worker in workers:
            os.kill(worker.process.pid, number)


def start_worker(
    command: Sequence[str], number: int, listener: socket.socket, counts: int | None = None
) -> tuple[subprocess.Popen[bytes], int]:
    """Start `command` as worker `number` on a port; return it, and the pipe for its signs of life.

    The worker ends by itself when nobody has that pipe any more. `counts`: a descriptor of what
    `telemetry.sheets.make` gave, where its metrics are those of several.
    """
    pipe, end = os.pipe()
    for each in (pipe, end):
        os.set_blocking(each, False)
    try:
        told = [*command, "--worker", str(number), str(listener.fileno()), str(end)]
        descriptors = [listener.fileno(), end]
        if counts is not None:
            told.append(f"--counts={counts}")
            descriptors.append(counts)
        process = subprocess.Popen(  # noqa: S603 - this very command
            told,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the parent, which tells them
        )
    finally:
        os.close(end)
    return process, pipe


def open_port(host: str, port: int) -> socket.socket | None:
    """Return what listens there, None where nothing can: the log says why."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        logger.error("cannot listen on %s:%d: %s", host, port, (error.strerror or "").lower())
        return None


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, 1 << 12)
    except BlockingIOError:
        return b""


def supervise(
    arguments: Sequence[str],
    *,
    host: str,
    port: int,
    scheme: str,
    workers: int,
    drain_timeout: float | None,
    worker_timeout: float | None,
) -> int:
    """Open the port and run the workers: `inference-gateway serve` with `arguments`.

    Returns the exit code.
    """
    listener = open_port(host, port)
    if listener is None:
        return EXIT_SETUP_FAILED
    with listener:
        address = listener.getsockname()
        logger.info("running on %s://%s:%d, workers: %d", scheme, address[0], address[1], workers)
        return Supervisor(
            [sys.executable, "-m", "inference_gateway.cli", "serve", *arguments],
            listener,
            workers,
            drain_timeout=drain_timeout,
            worker_timeout=worker_timeout,
        ).run()
