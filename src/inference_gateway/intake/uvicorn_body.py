"""The body's bytes from uvicorn itself, by a shorter way than ASGI messages.

A small body has mostly come with the header, and is taken as it is. A large one is read from the socket
straight into the caller's buffer, past the HTTP parser and its copies: where its length is known and the
connection plain TCP, the transport is given a protocol of ours instead of the HTTP one, and gets that back
after the body's last byte. Not a byte more is read, so what follows the body is the HTTP protocol's as ever.
Between two calls of `readinto` reading is paused: the client feels it through TCP.

`receive` is a method of the request's cycle, which leads to all of this (`uvicorn_inside.py`). Where it is
not, under another server or behind a middleware with a `receive` of its own, the body comes as ASGI messages.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.types import Receive

from inference_gateway.errors import ClientDisconnected
from inference_gateway.intake.body import AsgiBody, Body, WholeBody
from inference_gateway.intake.uvicorn_inside import cycle_of, fresh_parser

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_DIRECT_FROM = 64 << 10  # bytes; a shorter body comes through the parser, unless it is there already


def body_of(receive: Receive, length: int) -> Body:
    """Return the body that `receive` gives, by the fastest way. `length`: as declared, in bytes, or 0."""
    cycle = cycle_of(receive)
    if cycle is None:
        return AsgiBody(receive)
    if len(cycle.body) == length > 0 and not cycle.disconnected:
        return _whole(cycle)
    if length < _DIRECT_FROM:
        return AsgiBody(receive)
    http: Any = cycle.transport.get_protocol()
    at_it = getattr(http, "cycle", None) is cycle
    encrypted = cycle.transport.get_extra_info("sslcontext") is not None
    ended = not cycle.more_body  # where another protocol was offered, stock uvicorn loses the body
    if encrypted or ended or not at_it:
        return AsgiBody(receive)
    return DirectBody(http, cycle, length)


def _whole(cycle: RequestResponseCycle) -> WholeBody:
    """As `receive` leaves the cycle behind when it has given all of the body."""
    body, cycle.body = cycle.body, bytearray()
    cycle.message_event.clear()
    cycle.flow.resume_reading()
    return WholeBody(body)


class DirectBody(asyncio.BufferedProtocol):
    """`http`: whose connection it is. `cycle`: the request's. `length`: the body's, in bytes."""

    def __init__(self, http: HttpToolsProtocol, cycle: RequestResponseCycle, length: int) -> None:
        self._http = http
        self._cycle = cycle
        self._remaining = length
        self._buffer = memoryview(b"")
        self._waiter: asyncio.Future[int] | None = None
        self._switched = False
        self.begun = False

    @property
    def complete(self) -> bool:
        """Whether all of the body has come."""
        return self._remaining == 0

    async def readinto(self, buffer: memoryview) -> int:
        """As `Body.readinto`. What came in one piece with the header has gone through the parser."""
        self.begun = True
        cycle = self._cycle
        if cycle.disconnected:
            raise ClientDisconnected("the client left during the upload")
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self._http.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if cycle.body:
            size = min(len(buffer), len(cycle.body))
            buffer[:size] = cycle.body[:size]
            del cycle.body[:size]
            self._remaining -= size
            return size
        if self.complete:
            return 0
        return await self._read(buffer[: self._remaining])

    async def _read(self, buffer: memoryview) -> int:
        flow = self._http.flow
        if not self._switched:
            flow.pause_reading()
            self._switched = True
            self._http.transport.set_protocol(self)
        self._buffer = buffer
        self._waiter = asyncio.get_running_loop().create_future()
        flow.resume_reading()
        try:
            return await self._waiter
        finally:
            if self._switched:
                flow.pause_reading()
            self._waiter = None
            self._buffer = memoryview(b"")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport may put bytes: never more than belong to the body."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        self._remaining -= nbytes
        self._http.flow.pause_reading()
        if self.complete:
            self._give_back()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(nbytes)

    def _give_back(self) -> None:
        """End the request: its body has not gone through the parser, so the next one gets a new one."""
        http = self._http
        self._switched = False
        http.parser = fresh_parser(http)
        http.on_message_complete()
        http.transport.set_protocol(http)
        http.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client is gone."""
        self._http.connection_lost(exc)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ClientDisconnected("the client left during the upload"))

    def pause_writing(self) -> None:
        """For the answer."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """For the answer."""
        self._http.resume_writing()
