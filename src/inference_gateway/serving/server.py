"""The server's life: start, signals, drain, exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import uvicorn

from inference_gateway.app.forks import keep_from_children
from inference_gateway.app.gateway import Gateway
from inference_gateway.errors import SetupFailed
from inference_gateway.intake.uvicorn_inside import missing_for_serve
from inference_gateway.serving.exit_codes import EXIT_SETUP_FAILED, READY, RUNNING
from inference_gateway.serving.protocol import HardenedProtocol
from inference_gateway.settings import Settings
from inference_gateway.telemetry import sheets

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LAST_SECOND = 1.0  # after a second signal
_LAST_SECONDS = 2.0  # for the interpreter's end, after the application's
_FOR_EVER = 10**9  # seconds


class Server(uvicorn.Server):
    """Runs one application. After `run`, `exit_code` is 0, or 3 where the service could not start."""

    def __init__(self, config: uvicorn.Config, app: Any, settings: Settings) -> None:
        super().__init__(config)
        self._gateway = app if isinstance(app, Gateway) else None
        self._header_timeout = settings.header_timeout or _FOR_EVER
        self._setup_failed = False
        self._signalled = False
        self._supervisor: int | None = None  # the pipe to it

    @property
    def exit_code(self) -> int:
        """For the process: 0, or 3 where the application could not start or a model not be set up."""
        return 0 if self.started and not self._setup_failed else EXIT_SETUP_FAILED

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port; from then on a failed set-up of a model ends the server."""
        keep_from_children()
        with self._tls_handshakes_limited():
            await super().startup(sockets)
        if self._gateway is not None:
            self._watch = asyncio.create_task(self._exit_on_failed_setup(self._gateway))

    @contextmanager
    def _tls_handshakes_limited(self) -> Iterator[None]:
        """Has the port that is opened meanwhile limit them; uvicorn has no option for it.

        A client that connects and is silent would have 60 s, asyncio's own limit.
        """
        loop: Any = asyncio.get_running_loop()
        create_server = loop.create_server

        def limited(*arguments: Any, **options: Any) -> Any:
            if options.get("ssl") is not None:
                options["ssl_handshake_timeout"] = self._header_timeout
            return create_server(*arguments, **options)

        loop.create_server = limited
        try:
            yield
        finally:
            del loop.create_server

    async def _exit_on_failed_setup(self, gateway: Gateway) -> None:
        await gateway.setup_failed.wait()
        self._setup_failed = True
        self.should_exit = True

    def supervise(self, pipe: int) -> None:
        """Make it a worker, which gives a sign of life through `pipe` every second.

        `pipe`: a descriptor that does not block. Where nobody reads it any more, the server drains and ends.
        """
        self._supervisor = pipe
        keep_from_children(pipe)
        self.config.callback_notify = self._beat
        self.config.timeout_notify = 0

    async def _beat(self) -> None:
        assert self._supervisor is not None
        ready = self._gateway is None or self._gateway.is_set_up
        sheets.tell()
        try:
            os.write(self._supervisor, READY if ready else RUNNING)
        except BlockingIOError:  # those before have not been read yet
            pass
        except BrokenPipeError:
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains: no new requests, those in flight get their time."""
        if self._gateway is not None:
            self._gateway.drain()
            self._watch.cancel()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Drain at the first signal, end at the second: within a second, whatever hangs.

        A supervised server may hear the same signal from several sides, so that the second says nothing.
        """
        if self.should_exit and self._supervisor is None:
            self.force_exit = True
            _end_within(_LAST_SECOND, 0)
        self.should_exit = True
        self._signalled = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signals are not raised again: to be told to end is no failure.

        Nor are the handlers of before put back then: a second signal may come while the process ends.
        """
        try:
            before = {sig: signal.signal(sig, self.handle_exit) for sig in _SIGNALS}
        except ValueError:  # not the main thread: signals are somebody else's
            yield
            return
        try:
            yield
        finally:
            if not self._signalled:
                for sig, handler in before.items():
                    signal.signal(sig, handler)

    def exit(self) -> NoReturn:
        """End the process after `run`: soon, even if a thread hangs that the interpreter would wait for.

        Signals are ignored: Python's handlers are gone before the process is, and its exit code is known.
        """
        for sig in _SIGNALS:
            signal.signal(sig, signal.SIG_IGN)
        _end_within(_LAST_SECONDS, self.exit_code)
        sys.exit(self.exit_code)


def _end_within(seconds: float, exit_code: int) -> None:
    end = threading.Timer(seconds, os._exit, (exit_code,))
    end.daemon = True
    end.start()


def make_server(app: Any, *, host: str = "127.0.0.1", port: int = 8000, **uvicorn_options: Any) -> Server:
    """Return a server for `app`, a `Gateway` or another ASGI application.

    `port` 0 takes a free one. `uvicorn_options`: more of `uvicorn.Config`'s, such as `ssl_certfile`. Raises
    `SetupFailed` where this version of uvicorn lacks what the hardening needs.
    """
    if missing := missing_for_serve():
        raise SetupFailed(
            f"uvicorn {uvicorn.__version__} has no {', '.join(missing)}: "
            "install the version that pip chooses for this package"
        )
    settings = app.settings if isinstance(app, Gateway) else Settings()
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=partial(HardenedProtocol, settings),  # type: ignore[arg-type]  # called like the class
        ws="none",
        lifespan="on" if isinstance(app, Gateway) else "auto",  # another application may have none
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_timeout or _FOR_EVER,  # type: ignore[arg-type]  # call_later takes it
        timeout_graceful_shutdown=settings.drain_timeout,  # type: ignore[arg-type]  # wait_for takes it
        **uvicorn_options,
    )
    return Server(config, app, settings)
