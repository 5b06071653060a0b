"""An error as an answer: `application/problem+json` (RFC 9457), sent so that the client really sees it.

A client that is still sending its body sees no answer if the connection is closed under it: the unread bytes
make the kernel reset it. So the answer goes out, what still comes is read and thrown away until the client
stops, within bounds, and only then the connection is closed.

Some proxies lose an answer that comes before the end of the body. Behind them what still comes is read first,
within the same bounds, and the answer sent then (`Settings.refuse_after_body`).
"""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import suppress
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from inference_gateway.errors import ClientDisconnected, RequestError, Unavailable
from inference_gateway.intake.body import AsgiBody, Body

DRAIN_SECONDS = 10.0
DRAIN_BYTES = 256 << 20
_SINK = memoryview(bytearray(64 << 10))  # of all answers: what is in it is never read


class Problem:
    """One problem answer; an ASGI application, to be called for one request.

    `allow`: methods for the Allow header of a 405. `retry_after`: seconds for a 503. `after_body`: the rest
    of the request's body is read first. `type`, `title`: of the problem, where it is no plain status.
    `traceback`: for the model's author, where somebody has asked for it. `traceparent`: of the request, as
    W3C Trace Context has it. `timing`: the value of its `Server-Timing`.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        request_id: str,
        *,
        traceparent: str | None = None,
        allow: str | None = None,
        retry_after: float | None = None,
        after_body: bool = False,
        type: str = "about:blank",
        title: str | None = None,
        traceback: str | None = None,
        timing: bytes | None = None,
    ) -> None:
        self.status = status
        self._after_body = after_body
        document = self.document(status, detail, request_id, type, title)
        if traceback is not None:
            document["traceback"] = traceback
        self._body = json.dumps(document).encode()
        self._headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(self._body)).encode()),
            (b"x-request-id", request_id.encode()),
        ]
        if traceparent is not None:
            self._headers.append((b"traceparent", traceparent.encode()))
        if timing is not None:
            self._headers.append((b"server-timing", timing))
        if status == 401:
            self._headers.append((b"www-authenticate", b"Bearer"))
        if allow is not None:
            self._headers.append((b"allow", allow.encode()))
        if retry_after is not None:
            self._headers.append((b"retry-after", str(math.ceil(retry_after)).encode()))

    @staticmethod
    def document(
        status: int, detail: str, request_id: str, type: str = "about:blank", title: str | None = None
    ) -> dict[str, str | int]:
        """Return the problem document (RFC 9457 §3.1)."""
        return {
            "type": type,
            "title": title or HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "request_id": request_id,
        }

    @classmethod
    def of(
        cls,
        error: RequestError,
        request_id: str,
        *,
        traceparent: str | None = None,
        timing: bytes | None = None,
        after_body: bool = False,
        traceback: str | None = None,
    ) -> Problem:
        """Return the answer to an error of the tree."""
        retry_after = error.retry_after if isinstance(error, Unavailable) else None
        return cls(
            error.status,
            error.detail,
            request_id,
            traceparent=traceparent,
            retry_after=retry_after,
            after_body=after_body,
            type=error.type,
            title=error.title,
            traceback=traceback,
            timing=timing,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer to a request whose body has not been touched."""
        await self.send(send, AsgiBody(receive) if _has_body(scope) else None, scope)

    async def send(self, send: Send, body: Body | None, scope: Scope) -> None:
        """Send the answer. `body`: the request's, which the client may still be sending."""
        if self._after_body and body is not None and (body.begun or not _waits_for_100(scope)):
            await _drain(body)
        drain = body is not None and not body.complete
        headers = [*self._headers, (b"connection", b"close")] if drain else self._headers
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if body is not None and drain:
            await send({"type": "http.response.body", "body": self._body, "more_body": True})
            await _drain(body)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send({"type": "http.response.body", "body": self._body, "more_body": False})


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _waits_for_100(scope: Scope) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])


async def _drain(body: Body) -> None:
    """Receives and throws away until the body ends, the client stops or leaves, or too much has come."""
    thrown = 0
    # The answer is decided: nothing is left to cancel when the server's drain is over.
    with suppress(TimeoutError, ClientDisconnected, asyncio.CancelledError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while thrown < DRAIN_BYTES and (size := await body.readinto(_SINK)):
                thrown += size
