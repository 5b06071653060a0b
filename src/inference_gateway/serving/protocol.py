"""uvicorn with hardened defaults: what `inference-gateway serve` runs.

On top of stock uvicorn: a deadline and limits for a request's header, no pipelining (behind a second
request a client's going would not be noticed), TCP keep-alive, answers to broken HTTP that the client really
sees, and a connection that can be aborted when an answer has to be cut.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import sys
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inference_gateway.answer.problem import DRAIN_BYTES, DRAIN_SECONDS, Problem
from inference_gateway.extensions import ABORT, UNSENT
from inference_gateway.settings import Settings
from inference_gateway.telemetry.record import new_request_id

if sys.platform == "linux":
    from fcntl import ioctl
    from termios import TIOCOUTQ

# Linux: probe an idle connection after 60 s, every 15 s; it is lost after four without an answer.
_KEEP_ALIVE_PROBES = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class HardenedProtocol(HttpToolsProtocol):
    """One connection. `settings`: the gateway's."""

    def __init__(self, settings: Settings, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self._settings = settings
        self._header_timer: asyncio.TimerHandle | None = None
        self._bare_bytes = 0  # since a header began or a body byte came: header, chunk sizes, trailers
        self._refused = False  # the connection has had its last answer: what comes is thrown away
        self._chunk_size = 0  # of what the parser is being fed
        self._in_header = False  # of a request; fields that come at another time are trailers
        self._in_framing = False  # the parser is told what is known already
        self._pipelined = False  # a second request has come before the first was answered
        self._thrown_away = 0
        self._last_timer: asyncio.TimerHandle | None = None  # of what is read and thrown away

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Arms the header deadline, so that a connection that sends nothing is closed."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEP_ALIVE_PROBES:
                if hasattr(socket, name):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            send_timeout = self._settings.send_timeout
            if send_timeout is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
                # Linux: what was sent is not acknowledged, or the client's window is closed, for so long.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(1000 * send_timeout))
        self._arm_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Disarms: no timer keeps what is left of a connection."""
        self._disarm_header_timer()
        self._disarm_last_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, as long as there is something to expect."""
        if self._refused or self._pipelined:
            self._throw_away(len(data))
            return
        self._chunk_size = len(data)
        self._bare_bytes += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        if not self._refused:
            self._check_header_bytes()
        if self.cycle is None or self.cycle.response_complete:
            self._arm_keep_alive()

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])

    def _decline_upgrade(self, data: bytes) -> None:
        """The request offers another protocol, as Java's client does: it goes on as HTTP/1.1 (RFC 9110 §7.8).

        The parser takes no body then. A new one that is told of the body's framing does.
        """
        self.parser = httptools.HttpRequestParser(self)
        framing = (b"content-length", b"transfer-encoding")
        lines = [b"%s: %s\r\n" % header for header in self.headers if header[0] in framing]
        self._in_framing = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(lines) + b"\r\n")
        self._in_framing = False
        if data and not self._pipelined:  # behind that nothing counts, however many offers there are
            self._parse(data)

    def _throw_away(self, size: int) -> None:
        """What comes after the last answer: so much and so long, so that the client sees the answer.

        Behind a pipelined request there is no hurry: the connection is closed after the answer to the first.
        """
        if self._last_timer is None and not self._pipelined:
            self._last_timer = self.loop.call_later(DRAIN_SECONDS, self._abort_if_thrown_away, self.cycle)
        self._thrown_away += size
        if self._thrown_away > DRAIN_BYTES:
            self.transport.abort()

    def _abort_if_thrown_away(self, cycle: object) -> None:
        if self._thrown_away and self.cycle is cycle:
            self.transport.abort()

    def _arm_keep_alive(self) -> None:
        """Bytes that begin no request (an empty line, the rest of an answered one) do not keep it open."""
        armed = self._header_timer or self.timeout_keep_alive_task
        if not armed and not self._in_header and not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        """A request's first byte: another one's answer must be complete by now."""
        if self._in_framing:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._pipelined = True
            self.cycle.keep_alive = False
            return
        super().on_message_begin()
        self.scope["extensions"] = {
            ABORT: {"abort": self._abort},
            UNSENT: {"unsent": self._unsent},
        }
        self._in_header = True
        self._thrown_away = 0
        self._disarm_last_timer()
        self._bare_bytes = self._chunk_size
        self._unset_keepalive_if_required()
        self._arm_header_timer()

    def _abort(self) -> None:
        """Cuts the answer that is going out; to uvicorn it is as if the client had gone."""
        self.cycle.disconnected = True
        self.transport.abort()

    def _unsent(self) -> int:
        """Bytes of the answer that wait here, or in the kernel to be acknowledged (Linux)."""
        queued = bytearray(4)
        sock = self.transport.get_extra_info("socket")
        if sys.platform == "linux" and sock is not None:
            with suppress(OSError):  # it has just been closed
                ioctl(sock.fileno(), TIOCOUTQ, queued)
        return self.transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)

    def on_url(self, url: bytes) -> None:
        """Part of the request line."""
        if not self._pipelined and not self._in_framing:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field; trailers (RFC 9112 §7.1.2) are thrown away."""
        if self._in_header and not self._pipelined and not self._in_framing:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The header is in: starts the application, unless the header is too large."""
        if self._pipelined or self._in_framing:
            return
        self._in_header = False
        self._disarm_header_timer()
        self._bare_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._check_header_bytes()
        if len(self.headers) > self._settings.max_request_headers:
            self._refuse(431, "the request has too many header fields")
        if not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Body bytes, unless they are those of a pipelined or refused request."""
        self._bare_bytes = 0
        if self._pipelined or self._refused:
            return
        if self.cycle.response_complete:
            self._unset_keepalive_if_required()  # this has a limit of its own
            self._throw_away(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request's end, unless the parser has stopped at its header."""
        if self.parser.should_upgrade():
            return
        self._bare_bytes = 0
        self._thrown_away = 0
        if not self._pipelined and not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """The parser has given up."""
        if self._pipelined:
            return
        self._refuse(400, "the request is not well-formed HTTP/1.1")

    def _check_header_bytes(self) -> None:
        if self._bare_bytes > self._settings.max_request_header_bytes:
            self._refuse(431, "the request's header is larger than the limit")

    def _refuse(self, status: int, detail: str) -> None:
        """The connection's last answer, where the application has none to give; then it is closed."""
        if self._refused:
            return
        self._refused = True
        self._disarm_header_timer()
        self._unset_keepalive_if_required()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:  # the answer that has begun must not look whole
                self.transport.abort()
                return
        body = json.dumps(Problem.document(status, detail, new_request_id())).encode()
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n".encode()
            + body
        )
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._disarm_last_timer()
        self._last_timer = self.loop.call_later(DRAIN_SECONDS, self.transport.abort)

    def _disarm_last_timer(self) -> None:
        if self._last_timer is not None:
            self._last_timer.cancel()
            self._last_timer = None

    def _arm_header_timer(self) -> None:
        self._disarm_header_timer()
        if self._settings.header_timeout is not None:
            self._header_timer = self.loop.call_later(self._settings.header_timeout, self.transport.abort)

    def _disarm_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
