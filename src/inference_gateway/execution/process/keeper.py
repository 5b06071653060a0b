"""The gateway's side of the warden: starts model processes, hears of their ends and of their log lines.

A gateway has one warden, whatever the number of its routes (`SharedKeeper`).
"""

from __future__ import annotations

import json
import logging
import os
import queue
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from inference_gateway.execution.process.warden import kill_marked

_WARDEN = Path(__file__).with_name("warden.py")
_LARGEST = 256 << 10  # bytes of a message

logger = logging.getLogger("inference_gateway")


class Keeper:
    """Has one thread. `close` ends the warden and with it all that it started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sock, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.setblocking(False)
        with other:
            self._warden = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, "-I", "-S", str(_WARDEN), str(other.fileno())],
                pass_fds=(other.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        self._starting: queue.SimpleQueue[Future[tuple[int, Future[int | None]]]] = queue.SimpleQueue()
        self._ends: dict[int, Future[int | None]] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._wake_write = socket.socketpair()
        for end in (self._wake, self._wake_write):
            end.setblocking(False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._selector.register(self._sock, selectors.EVENT_READ)
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._gone = False
        self._mark = os.urandom(16).hex()  # of all that its warden starts
        self._closing = False
        self._over = False  # the thread does nothing more
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the warden is there."""
        return not self._gone

    def start(
        self, argv: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int]
    ) -> tuple[int, Future[int | None]]:
        """Start a process; return its number and what will be `waitpid`'s status when it has ended.

        The future gives None where nobody knows. Raises `OSError`.
        """
        message = {"start": list(argv), "cwd": os.getcwd(), "env": dict(environment), "mark": self._mark}
        started: Future[tuple[int, Future[int | None]]] = Future()
        with self._lock:
            if self._gone:
                raise ConnectionError("the warden has gone")
            socket.send_fds(self._sock, [json.dumps(message).encode()], descriptors)
            self._starting.put(started)  # the answer waits for the lock, too
        return started.result()

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to a process and what it has started. Does not wait."""
        with suppress(OSError):
            self._sock.send(json.dumps({"signal": number, "pid": pid}).encode())

    def watch(self, control: socket.socket, heard: Callable[[dict[str, Any]], None]) -> None:
        """Have `heard` called, on the keeper's thread, for each message that comes through `control`."""

        def register() -> None:
            self._selector.register(control, selectors.EVENT_READ, heard)

        self._do(register)

    def unwatch(self, control: socket.socket) -> None:
        """Close `control`, and hear no more of it. Once more does nothing."""

        def close() -> None:
            with suppress(KeyError, ValueError):
                self._selector.unregister(control)
            control.close()

        if not self._do(close):
            close()

    def close(self) -> None:
        """End everything. Does not wait; `join` does."""

        def end() -> None:
            self._closing = True

        self._do(end)

    def join(self) -> None:
        """Wait until everything has ended, after `close`."""
        self._thread.join()

    def _do(self, job: Callable[[], None]) -> bool:
        """Have the thread do it; returns False where that has ended."""
        with self._lock:
            if self._over:
                return False
            self._jobs.put(job)
            with suppress(OSError):
                self._wake_write.send(b"x")  # where there is no room, it wakes anyway
        return True

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if key.fileobj is self._wake:
                    self._wake.recv(_LARGEST)
                    while not self._jobs.empty():
                        self._jobs.get()()
                elif key.fileobj is self._sock:
                    self._hear_warden()
                else:
                    self._hear(key)
        with self._lock:
            self._gone = True
            self._sock.close()  # which ends the warden
        self._warden.wait()
        self._forget_all()
        with self._lock:
            self._over = True
        while not self._jobs.empty():
            self._jobs.get()()
        self._selector.close()
        self._wake.close()
        self._wake_write.close()

    def _hear(self, key: selectors.SelectorKey) -> None:
        control: Any = key.fileobj
        try:
            data = control.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            with suppress(KeyError, ValueError):
                self._selector.unregister(control)
            return
        try:
            key.data(json.loads(data))
        except Exception:  # one bad line, or one bad handler of the log, must not end the keeper
            logger.exception("a log line of a model's process was lost")

    def _hear_warden(self) -> None:
        try:
            data = self._sock.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose_warden()
            return
        message = json.loads(data)
        if "started" in message:
            end = self._ends[message["started"]] = Future()
            self._next_start().set_result((message["started"], end))
        elif "failed" in message:
            self._next_start().set_exception(OSError(message["failed"]))
        else:
            self._ends.pop(message["ended"]).set_result(message["status"])

    def _lose_warden(self) -> None:
        """Its processes are killed by the kernel then, but not what they have started."""
        with self._lock:
            self._gone = True
        self._selector.unregister(self._sock)
        self._warden.wait()  # the kernel has told its processes before that returns
        kill_marked(self._mark)
        self._forget_all()

    def _next_start(self) -> Future[tuple[int, Future[int | None]]]:
        with self._lock:
            return self._starting.get()

    def _forget_all(self) -> None:
        while not self._starting.empty():
            self._starting.get().set_exception(ConnectionError("the warden has gone"))
        for end in self._ends.values():
            end.set_result(None)
        self._ends.clear()


class SharedKeeper:
    """The one keeper of all routes of a gateway: started when needed, and anew where its warden has gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keeper: Keeper | None = None
        self._users = 0

    def share(self) -> None:
        """One more route uses it, and closes it at its end."""
        with self._lock:
            self._users += 1

    def get(self) -> Keeper:
        """Return a keeper that lives. Raises `ConnectionError` where all routes have closed it."""
        with self._lock:
            if self._users <= 0:
                raise ConnectionError("the gateway is shutting down")
            if self._keeper is None or not self._keeper.alive:
                self._keeper = Keeper()
            return self._keeper

    def close(self) -> Keeper | None:
        """End everything where no other route uses it; return the keeper then, to be joined."""
        with self._lock:
            self._users -= 1
            if self._users > 0 or self._keeper is None:
                return None
            self._keeper.close()
            return self._keeper
