"""One request and its answer, whoever drives them: the part of a call that the two clients share.

The driver sends what `Upload.blocks` gives and calls `check_unanswered` before each block; then it calls
`begin`, `collect` for each chunk, `receive` for each block that this gives, and `finish`. `errors` goes
around all of it and makes the client's own errors of httpx's.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import httpcore
import httpx

from inference_gateway.caller.cutoff import Cutoff, Descriptor
from inference_gateway.caller.key import key_header
from inference_gateway.caller.tls import handshake_trouble
from inference_gateway.client.answer import Answer, Refusal, plain
from inference_gateway.client.result import InferenceResult
from inference_gateway.client.upload import OnProgress, Upload
from inference_gateway.errors import ClientError, CutAnswer, GatewayUnreachable
from inference_gateway.payload.contract import FAULTS_HEADER

_INTERIM = re.compile(rb"HTTP/1\.. 1")  # 100 Continue and the like: the answer is still to come

_LENGTH = re.compile(r"[0-9]{1,20}")

_BLOCK = 256 << 10  # bytes of an answer that are read at once
_LEAST = 1024  # bytes of an answer in each of the client's time limits: a byte now and then is none

# Nothing of the request has gone out.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class TimeLimit(Protocol):
    """Ends the wait for an answer, in the way of whoever drives the call. `passed`: whether it has."""

    passed: bool

    def start(self, seconds: float, connection: Descriptor | None) -> None:
        """Begin to count, anew where it did."""
        ...

    def stop(self) -> None:
        """Count no longer."""
        ...


class Exchange:
    """One attempt at a call.

    `limit`: on the wait for the head of the answer, and for all of a refusal.
    """

    def __init__(
        self, upload: Upload, on_progress: OnProgress | None, limit: TimeLimit | None = None
    ) -> None:
        self.upload = upload
        self._on_progress = on_progress
        self._limit = limit or Cutoff()
        self._sent = self._received = 0
        self._answer_total: int | None = None
        self._connection: Any = None
        self._socket: Descriptor | None = None
        self._seconds: float | None = None
        self._incoming: Answer | Refusal | None = None
        self._answered = 0.0
        self._block = bytearray()
        self._counted, self._counted_since = 0, 0.0

    def options(
        self,
        given: Mapping[str, Any],
        trace: Callable[..., object],
        of_client: httpx.Headers | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """For httpx's `stream`: what the caller has given, and what the request needs.

        `trace`: calls `traced`. `of_client`: headers that the client sends with every call. `key`: goes as
        a header where neither has one.
        """
        headers = httpx.Headers(given.get("headers"))
        headers.update(key_header(key, [*headers.items(), *(of_client or {}).items()]))
        headers.update(self.upload.headers)
        extensions = {**given.get("extensions", {}), "trace": trace}
        return {**given, "headers": headers, "extensions": extensions}

    # Sending

    def traced(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore tells what it does (its `trace` extension): notes the connection, and counts the wait.

        What is peeked at is HTTP/1.1 without TLS only: the others read bytes that are no answer.
        """
        if event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete")):
            self._connection = info["return_value"]
            self._socket = self._connection.get_extra_info("socket")
        elif event.endswith(".start_tls.complete"):
            self._connection, self._socket = None, info["return_value"].get_extra_info("socket")
        elif event.startswith("http2."):
            self._connection = None
        if event.endswith(".receive_response_headers.started"):
            self._seconds = info["request"].extensions.get("timeout", {}).get("read")
            self._wait()
        elif event.endswith(".receive_response_headers.complete"):
            self._limit.stop()
        elif event.endswith(".receive_response_body.started") and not isinstance(self._incoming, Answer):
            self._wait()

    def _wait(self) -> None:
        if self._seconds is not None:
            self._limit.start(self._seconds, self._socket)

    def check_unanswered(self) -> None:
        """End the sending where the gateway has answered already: it refuses, and will not read the rest.

        Raises `httpcore.WriteError`: after it httpcore reads the answer, as when the gateway has closed.
        """
        if self._connection is not None and _has_answer(self._connection):
            raise httpcore.WriteError("there is an answer already")

    def restart(self) -> None:
        """Count from nothing: the body is sent from its start, perhaps again, for authentication."""
        self._sent = 0

    def sent(self, size: int) -> None:
        """So many bytes have gone out."""
        self._sent += size
        self.report()

    # Receiving

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of the answer. Raises `BrokenAnswer`."""
        self._answered = self._counted_since = time.perf_counter()
        length = headers.get("content-length", "")
        self._answer_total = int(length) if _LENGTH.fullmatch(length) else None
        if status == httpx.codes.OK:
            self._incoming = Answer(headers.get("content-type", ""), headers.get(FAULTS_HEADER.decode(), ""))
        else:
            self._incoming = Refusal(status, headers)

    def collect(self, chunk: bytes) -> bytes | None:
        """Take the next bytes of the answer; return a block of them for `receive`, or None.

        Raises `CutAnswer` where they come too slowly.
        """
        self._received += len(chunk)
        if isinstance(self._incoming, Answer):
            self._check_pace()
        self._block += chunk
        if len(self._block) < _BLOCK:
            return None
        block, self._block = bytes(self._block), bytearray()
        return block

    def receive(self, block: bytes) -> None:
        """Read a block. Blocks. Raises `ClientError`, or `OSError` of the disk."""
        assert self._incoming is not None
        self._incoming.feed(block)

    def _check_pace(self) -> None:
        """Raise `CutAnswer` for an answer byte by byte: the time limit of a socket begins anew with each."""
        now = time.perf_counter()
        if self._received - self._counted >= _LEAST:
            self._counted, self._counted_since = self._received, now
        elif self._seconds is not None and now - self._counted_since > self._seconds:
            raise CutAnswer("the answer came byte by byte, slower than the time limit allows")

    def finish(self) -> InferenceResult:
        """Return the result, at the end of the answer. Blocks. Raises `ClientError`."""
        self.receive(bytes(self._block))
        if isinstance(self._incoming, Refusal):
            raise self._incoming.problem()
        assert self._incoming is not None
        timings = {
            "upload": self.upload.ended - self.upload.began,
            "model": self._answered - self.upload.ended,
            "download": time.perf_counter() - self._answered,
        }
        return self._incoming.finish(self.upload.input_hash, timings)

    def report(self) -> None:
        """Call `on_progress`."""
        if self._on_progress is not None:
            self._on_progress(self.upload.progress(self._sent, self._received, self._answer_total))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Make `ClientError` of httpx's errors, and free what has come where the block fails."""
        try:
            yield
        except BaseException as error:
            if isinstance(self._incoming, Answer):
                self._incoming.close()
            if isinstance(error, httpx.RequestError):
                raise self._client_error(error) from error
            raise
        finally:
            self._limit.stop()

    def too_late(self) -> ClientError:
        """Return what to raise where the time limit has passed."""
        if isinstance(self._incoming, Refusal):  # its status says enough
            return self._incoming.problem()
        return _silent("its answer did not begin in time")

    def _client_error(self, error: httpx.RequestError) -> ClientError:
        if self._limit.passed or isinstance(self._incoming, Refusal):
            return self.too_late()
        if self._incoming is not None:
            return CutAnswer("the connection ended before the answer did")
        if isinstance(error, _NOT_SENT):
            trouble = handshake_trouble(error)
            if trouble:
                return GatewayUnreachable(f"cannot connect to the gateway: {trouble}", sent=False)
            reason = plain(str(error)) or type(error).__name__
            return GatewayUnreachable(
                f"cannot connect to the gateway ({reason}): is the URL right, and is it running?", sent=False
            )
        if isinstance(error, httpx.TimeoutException):
            return _silent(type(error).__name__)
        reason = handshake_trouble(error) or type(error).__name__
        return GatewayUnreachable(f"the connection was lost before an answer came ({reason})")


def _silent(how: str) -> GatewayUnreachable:
    return GatewayUnreachable(
        f"the gateway was silent for too long ({how}): give a longer timeout, if its model needs it"
    )


def _has_answer(connection: Any) -> bool:
    """Whether a final answer, or the end, is there to be read on a connection of httpcore. Takes nothing."""
    if not connection.get_extra_info("is_readable"):
        return False
    own = connection.get_extra_info("socket")
    with socket.socket(fileno=os.dup(own.fileno())) as same:
        same.settimeout(own.gettimeout())  # blocking or not is a property that both share
        try:
            return not _INTERIM.match(same.recv(10, socket.MSG_PEEK))
        except OSError:
            return True
