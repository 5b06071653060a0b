"""The two clients: what is sent and received goes through httpx, and the rest is `Exchange`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import httpx
import tenacity
from anyio.to_thread import run_sync

from inference_gateway.client.exchange import Exchange
from inference_gateway.client.inputs import Input
from inference_gateway.client.result import InferenceResult
from inference_gateway.client.retry import RetryPolicy
from inference_gateway.client.upload import OnProgress, Upload

_CHUNK = 256 << 10  # bytes of an answer that are taken at once

_DEFAULTS: dict[str, Any] = {
    # A model may take the gateway's ten minutes, after one in the queue.
    "timeout": httpx.Timeout(30, read=690),
    # A connection for each call: none dies of a connection that the gateway is just closing.
    "limits": httpx.Limits(max_keepalive_connections=0),
}


class InferenceClient:
    """Calls the gateway at `base_url`. Threads may share it.

    `retry`: what is tried again. `timeout`, `headers`, `auth`, `verify`, `cert`, `proxy` and more are httpx's
    own (`httpx.Client`). Use it as a context manager, or `close` it.
    """

    def __init__(self, base_url: str, *, retry: RetryPolicy | None = None, **httpx_options: Any) -> None:
        self._http = httpx.Client(base_url=_checked(base_url), **(_DEFAULTS | httpx_options))
        self._retry = retry or RetryPolicy()

    def infer(
        self,
        json_input: Any,
        inputs: Iterable[Input] = (),
        route: str = "/",
        *,
        on_progress: OnProgress | None = None,
        **httpx_options: Any,
    ) -> InferenceResult:
        """Sends one request and gives its whole answer.

        `json_input`: what `json.dumps` takes. `inputs`, each sent as one part: a path; a folder, with each
        file below it in order of the paths; an open binary file (whole, from its start); bytes or an array; a
        pydicom `Dataset`; or `(name, content type, one of these)`. `on_progress` is called with a `Progress`
        as bytes go out and come. `timeout`, `headers`, `auth` and more, as of `httpx.Client.stream`, are for
        this call.

        Raises `GatewayUnreachable` where no answer comes, `ProblemAnswer` (`Overloaded` for 503) where the
        gateway refused or failed, `CutAnswer` or `HashMismatch` where what came is not a whole answer. And
        `TypeError`, `ValueError` or `OSError` where an input cannot be sent.
        """
        upload = Upload(json_input, inputs)
        try:
            retrying = tenacity.Retrying(**self._retry.options())
            return retrying(self._attempt, upload, route, on_progress, httpx_options)
        finally:
            upload.close()

    def _attempt(
        self, upload: Upload, route: str, on_progress: OnProgress | None, httpx_options: Mapping[str, Any]
    ) -> InferenceResult:
        exchange = Exchange(upload, on_progress)
        options = exchange.options(httpx_options, exchange.connected)
        request = self._http.stream("POST", route, content=_Body(exchange), **options)
        with exchange.errors(), request as response:
            exchange.begin(response.status_code, response.headers)
            for chunk in response.iter_bytes(_CHUNK):
                exchange.receive(chunk)
                exchange.report()
            return exchange.finish()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> InferenceClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncInferenceClient:
    """`InferenceClient` for an event loop: it is never blocked, and cancelling a call closes its connection.

    Files are read, and the answer is written, on threads. `on_progress` is called on the event loop.
    """

    def __init__(self, base_url: str, *, retry: RetryPolicy | None = None, **httpx_options: Any) -> None:
        self._http = httpx.AsyncClient(base_url=_checked(base_url), **(_DEFAULTS | httpx_options))
        self._retry = retry or RetryPolicy()

    async def infer(
        self,
        json_input: Any,
        inputs: Iterable[Input] = (),
        route: str = "/",
        *,
        on_progress: OnProgress | None = None,
        **httpx_options: Any,
    ) -> InferenceResult:
        """What `InferenceClient.infer` does."""
        upload = await run_sync(Upload, json_input, inputs)
        try:
            retrying = tenacity.AsyncRetrying(**self._retry.options())
            return await retrying(self._attempt, upload, route, on_progress, httpx_options)
        finally:
            upload.close()

    async def _attempt(
        self, upload: Upload, route: str, on_progress: OnProgress | None, httpx_options: Mapping[str, Any]
    ) -> InferenceResult:
        exchange = Exchange(upload, on_progress)

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            exchange.connected(event, info)

        options = exchange.options(httpx_options, trace)
        request = self._http.stream("POST", route, content=_AsyncBody(exchange), **options)
        with exchange.errors():
            async with request as response:
                exchange.begin(response.status_code, response.headers)
                async for chunk in response.aiter_bytes(_CHUNK):
                    await run_sync(exchange.receive, chunk)
                    exchange.report()
                return await run_sync(exchange.finish)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncInferenceClient:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _checked(base_url: str) -> str:
    if not base_url.lower().startswith(("http://", "https://")):
        raise ValueError("a gateway's URL begins with http:// or https://")
    return base_url


class _Body:
    """What httpx sends; from its start each time that it is asked for."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        self._exchange.restart()
        for block in self._exchange.upload.blocks():
            self._exchange.check_unanswered()
            yield block
            self._exchange.sent(len(block))


class _AsyncBody:
    """The same for an event loop: blocks are read on a thread."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._exchange.restart()
        blocks = self._exchange.upload.blocks()
        while (block := await run_sync(next, blocks, None)) is not None:
            self._exchange.check_unanswered()
            yield block
            self._exchange.sent(len(block))
