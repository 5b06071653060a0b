"""An ASGI app in a real uvicorn, in a thread of the test process, on a socket of 127.0.0.1.

The socket listens before the server runs, so a client may connect at once. `wait_until` and `wait_idle` say
when a request has begun or when all of them have ended, also those whose client is gone.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.harness.raw import Address

START_LIMIT = 30.0
STOP_LIMIT = 30.0
WAIT_LIMIT = 20.0


class Watched:
    """An app that counts the requests it has begun and those that it is still at."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.begun = 0
        self.running = 0
        self._changed = threading.Condition()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        self._count(begun=1, running=1)
        try:
            await self.app(scope, receive, send)
        finally:
            self._count(running=-1)

    def _count(self, *, begun: int = 0, running: int = 0) -> None:
        with self._changed:
            self.begun += begun
            self.running += running
            self._changed.notify_all()

    def wait_until(self, begun: int) -> None:
        """Wait until so many requests have begun since the server started."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.begun >= begun, WAIT_LIMIT), "the request never began"

    def wait_idle(self) -> None:
        """Wait until the app is at no request."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self.running, WAIT_LIMIT), "a request never ended"


@dataclass
class RunningServer:
    address: Address
    watched: Watched
    server: uvicorn.Server
    _thread: threading.Thread | None = None
    _started: threading.Event = field(default_factory=threading.Event)
    _failure: BaseException | None = None

    def _start(self, listener: socket.socket) -> None:
        startup = self.server.startup

        async def announced(sockets: list[socket.socket] | None = None) -> None:
            await startup(sockets=sockets)
            self._started.set()

        # uvicorn has no hook for "started"; the other way to know is to poll its flag.
        self.server.startup = announced  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._run, args=(listener,), name="test-server", daemon=True)
        self._thread.start()
        assert self._started.wait(START_LIMIT), "the server did not start"
        if self._failure is not None:
            raise self._failure

    def _run(self, listener: socket.socket) -> None:
        try:
            self.server.run(sockets=[listener])
        except BaseException as error:
            # SystemExit too: uvicorn ends so when the lifespan fails, and in a thread nobody would see it.
            self._failure = error
        finally:
            self._started.set()

    def _stop(self) -> None:
        assert self._thread is not None
        self.server.should_exit = True
        self._thread.join(STOP_LIMIT)
        assert not self._thread.is_alive(), "the server did not stop"
        if self._failure is not None:
            raise self._failure


def plain_server(app: ASGIApp, *, loop: str = "uvloop", **options: Any) -> uvicorn.Server:
    """uvicorn as `uvicorn module:app` sets it up, but for the access log."""
    config = uvicorn.Config(
        app, http="httptools", loop=loop, lifespan="on", log_config=None, access_log=False, **options
    )
    return uvicorn.Server(config)


@contextmanager
def serving(app: ASGIApp, server: uvicorn.Server | None = None) -> Iterator[RunningServer]:
    """Run an app, by plain uvicorn or by a server that was made for it, until the block ends."""
    server = server or plain_server(app)
    watched = Watched(app)
    assert not server.config.loaded, "the app cannot be watched any more"
    server.config.app = watched
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        running = RunningServer(listener.getsockname(), watched, server)
        running._start(listener)
        try:
            yield running
        finally:
            running._stop()


def left_in(folder: Path) -> list[str]:
    """What is left of spools in a folder: its entries, and open files in it that have no name any more."""
    left = sorted(entry.name for entry in folder.iterdir())
    descriptors = Path("/proc/self/fd")
    for descriptor in os.listdir(descriptors) if descriptors.is_dir() else ():
        try:
            target = os.readlink(descriptors / descriptor)
        except FileNotFoundError:
            continue  # closed by another thread since the folder was read
        if target.startswith(f"{folder}/"):
            left.append(target)
    return left
