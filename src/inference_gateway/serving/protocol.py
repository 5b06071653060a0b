"""uvicorn with hardened defaults: what `inference-gateway serve` runs.

On top of stock uvicorn: a deadline and limits for a request's header, no pipelining (behind a second
request a client's going would not be noticed), TCP keep-alive, answers to broken HTTP that the client really
sees, and a connection that can be aborted when an answer has to be cut.

`reading.py` has the states of a connection. A request that comes in one piece costs a few comparisons more
than under stock uvicorn: timers and counts are for what comes in pieces, or does not come.
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
from inference_gateway.intake.uvicorn_inside import fresh_parser
from inference_gateway.serving.certificate import tls_extension
from inference_gateway.serving.http_rules import broken_rule
from inference_gateway.serving.reading import NEXT, Event, State
from inference_gateway.settings import Settings
from inference_gateway.telemetry.identity import new_request_id

if sys.platform == "linux":
    from fcntl import ioctl
    from termios import TIOCOUTQ

# Linux: probe an idle connection after 60 s, every 15 s; it is lost after four without an answer.
_KEEP_ALIVE_PROBES = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))

# Python 3.11 takes longer to look a member of an Enum up than to compare it.
_BETWEEN, _HEADER, _OFFER, _BODY, _SECOND = State.BETWEEN, State.HEADER, State.OFFER, State.BODY, State.SECOND
_REQUEST, _HEADER_END, _REQUEST_END = Event.REQUEST, Event.HEADER_END, Event.REQUEST_END


class _NothingMoreIsRead(Exception):
    """Raised in a callback of the parser: stops it."""


class HardenedProtocol(HttpToolsProtocol):
    """One connection. `settings`: the gateway's."""

    def __init__(self, settings: Settings, **uvicorn_arguments: Any) -> None:
        super().__init__(**uvicorn_arguments)
        self._settings = settings
        self._max_header_bytes = settings.max_request_header_bytes
        self._max_headers = settings.max_request_headers
        self._state = _BETWEEN
        self._deadline: asyncio.TimerHandle | None = None  # of a header, or of what is thrown away
        self._piece = 0  # bytes of what the parser is being fed
        self._bare_bytes = 0  # since a header began or a body byte came: header, chunk sizes, trailers
        self._thrown_away = 0
        self._extensions: dict[str, dict[str, Any]] = {
            ABORT: {"abort": self._abort},
            UNSENT: {"unsent": self._unsent},
        }

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Set the header's deadline, so that a connection that sends nothing is closed."""
        super().connection_made(transport)
        if self.scheme == "https":
            self._extensions["tls"] = tls_extension(transport)
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
        self._set_deadline(self._settings.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go of the deadline: no timer keeps what is left of a connection."""
        self._clear_deadline()
        if self.scheme == "http":  # under TLS the socket has been closed by now
            self._shut_down()
        super().connection_lost(exc)
        # The application's scope leads here: without a way back nothing waits for the garbage collector.
        self._extensions = {}
        self.cycle = self.scope = None  # type: ignore[assignment]

    # What comes

    def data_received(self, data: bytes) -> None:
        """Feed the parser, as long as there is something to expect."""
        if self._state >= _SECOND:
            self._throw_away(len(data))
            return
        self._piece = piece = len(data)
        self._bare_bytes += piece
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError:
            if self._state < _SECOND:
                self._refuse(400, "the request is not well-formed HTTP/1.1")
        if self._state is not _BETWEEN:
            self._go_on()

    def _go_on(self) -> None:
        """Begin what follows a piece that has ended within a header or a body."""
        if self._state is _HEADER and self._deadline is None:
            self._set_deadline(self._settings.header_timeout)
        if self._state < _SECOND and self._bare_bytes > self._max_header_bytes:
            self._refuse(431, "the request's header is larger than the limit")

    def _decline(self, rest: bytes) -> None:
        """Read a header again without its offer of another protocol (RFC 9110 §7.8), and what follows it.

        Java's HTTP client makes such an offer. The parser takes no body behind one.
        """
        line = self.parser.get_method(), self.url, self.parser.get_http_version().encode()
        fields = [b"%s: %s\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = fresh_parser(self)
        self.data_received(b"%s %s HTTP/%s\r\n" % line + b"".join(fields) + b"\r\n" + rest)

    def _throw_away(self, size: int) -> None:
        """Drop what comes after the last answer, or after one in the middle of a body: so much and so long.

        Behind a second request there is no hurry: the connection is closed after the answer to the first.
        """
        self._thrown_away += size
        if self._thrown_away > DRAIN_BYTES:
            self._cut()

    def _throw_body_away(self, size: int) -> None:
        """Go on after an answer. The limit for an idle connection begins anew."""
        if self._deadline is None:
            self._thrown_away = 0
            self._set_deadline(DRAIN_SECONDS)
        self._unset_keepalive_if_required()
        if not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        self._throw_away(size)

    # What the parser finds. Called for each request: `super()` takes several times what a plain call does.

    def on_message_begin(self) -> None:
        """Begin with a request's first byte: another one's answer must be complete by now."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._state = NEXT[self._state][Event.EARLY_REQUEST]
            self._thrown_away = 0
            self.cycle.keep_alive = False
            raise _NothingMoreIsRead
        self._state = NEXT[self._state][_REQUEST]
        self._bare_bytes = self._piece
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._deadline is not None:
            self._clear_deadline()
        HttpToolsProtocol.on_message_begin(self)
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]  # ours are not in ASGI's list

    def on_headers_complete(self) -> None:
        """Start the application, now that the header is in, unless something is wrong with it."""
        if self._deadline is not None:
            self._clear_deadline()
        if self._bare_bytes > self._max_header_bytes:  # or it came with what follows it
            self._bare_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if self._bare_bytes > self._max_header_bytes:
                self._refuse_at_header(431, "the request's header is larger than the limit")
        if len(self.headers) > self._max_headers:
            self._refuse_at_header(431, "the request has too many header fields")
        if broken := broken_rule(self.parser.get_http_version(), self.headers):
            self._refuse_at_header(400, broken)
        if not self.parser.should_upgrade():
            self._state = NEXT[self._state][_HEADER_END]
            HttpToolsProtocol.on_headers_complete(self)
            self.headers = []  # for trailers (RFC 9112 §7.1.2), which are nobody's
        elif self.parser.get_method() == b"CONNECT":
            self._refuse_at_header(400, "there is no tunnel here")
        else:
            self._state = NEXT[self._state][Event.OFFER]

    def on_body(self, body: bytes) -> None:
        """Body bytes."""
        self._bare_bytes = 0
        if self.cycle.response_complete:
            self._throw_body_away(len(body))
        else:
            HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        """Take the request's end, or that of a header with an offer, whose body is still to come."""
        if self._state is _OFFER:
            return
        self._state = NEXT[self._state][_REQUEST_END]
        if self._deadline is not None:
            self._clear_deadline()
        HttpToolsProtocol.on_message_complete(self)

    # The end

    def _refuse_at_header(self, status: int, detail: str) -> None:
        self._refuse(status, detail)
        raise _NothingMoreIsRead

    def _refuse(self, status: int, detail: str) -> None:
        """Give the connection's last answer, where the application has none, and close it."""
        self._state = NEXT[self._state][Event.REFUSAL]
        self._clear_deadline()
        self._unset_keepalive_if_required()
        self._thrown_away = 0
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:  # the answer that has begun must not look whole
                self._cut()
                return
        request_id = new_request_id()
        body = json.dumps(Problem.document(status, detail, request_id)).encode()
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\n"
            "connection: close\r\n\r\n".encode()
            + body
        )
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_deadline(DRAIN_SECONDS)

    def _abort(self) -> None:
        """Cuts the answer that is going out; to uvicorn it is as if the client had gone."""
        if self.cycle is not None:  # the connection has not been lost meanwhile
            self.cycle.disconnected = True
            self._cut()

    def _cut(self) -> None:
        """End the connection now, for the client too."""
        if not self.transport.is_closing():
            self._shut_down()
        self.transport.abort()

    def _shut_down(self) -> None:
        """End the connection for the client. Closing does not, while a child of a model has a copy of it."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError), socket.fromfd(sock.fileno(), sock.family, sock.type) as copy:
                copy.shutdown(socket.SHUT_RDWR)

    def _unsent(self) -> int:
        """Bytes of the answer that wait here, or in the kernel to be acknowledged (Linux)."""
        queued = bytearray(4)
        sock = self.transport.get_extra_info("socket")
        if sys.platform == "linux" and sock is not None:
            with suppress(OSError):  # it has just been closed
                ioctl(sock.fileno(), TIOCOUTQ, queued)
        return self.transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)

    def _set_deadline(self, seconds: float | None) -> None:
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self._cut)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:  # asked before the call as well, where every request passes
            self._deadline.cancel()
            self._deadline = None
