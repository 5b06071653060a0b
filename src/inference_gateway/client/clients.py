"""The two clients: what is sent and received goes through httpx, and the rest is `Exchange`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Any

import httpx
import tenacity
from anyio import CancelScope, current_time
from anyio.to_thread import run_sync

from inference_gateway.caller.cutoff import Descriptor
from inference_gateway.caller.key import environment_key
from inference_gateway.client.answer import Refusal, check_encoding
from inference_gateway.client.exchange import Exchange
from inference_gateway.client.inputs import Input
from inference_gateway.client.result import InferenceResult
from inference_gateway.client.retry import RetryPolicy
from inference_gateway.client.upload import OnProgress, Upload

_DEFAULTS: dict[str, Any] = {
    # A model may take the gateway's ten minutes, after one in the queue.
    "timeout": httpx.Timeout(30, read=690),
    # A connection for each call: none dies of a connection that the gateway is just closing.
    "limits": httpx.Limits(max_keepalive_connections=0),
}


class InferenceClient:
    """Calls the gateway at `base_url`. Threads may share it.

    `retry`: what is tried again. `timeout`, `headers`, `auth`, `verify`, `cert`, `proxy` and more are httpx's
    own (`httpx.Client`). Use it as a context manager, or `close` it. An API key in the environment,
    `GATEWAY_API_KEY`, goes with each call whose headers have none.

    Raises `ValueError` for a URL or a key that is none.
    """

    def __init__(self, base_url: str, *, retry: RetryPolicy | None = None, **httpx_options: Any) -> None:
        self._key = environment_key()
        self._http = httpx.Client(base_url=_checked(base_url), **_options(httpx_options, _guard))
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
        """Send one request and return its whole answer.

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
        options = exchange.options(httpx_options, exchange.traced, self._http.headers, self._key)
        request = self._http.stream("POST", route, content=_Body(exchange), **options)
        with exchange.errors(), request as response:
            exchange.begin(response.status_code, response.headers)
            for chunk in response.iter_raw():
                if block := exchange.collect(chunk):
                    exchange.receive(block)
                exchange.report()
            return exchange.finish()

    def close(self) -> None:
        """Close the connections."""
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
        self._key = environment_key()
        self._http = httpx.AsyncClient(base_url=_checked(base_url), **_options(httpx_options, _async_guard))
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
        """Do what `InferenceClient.infer` does."""
        upload = await run_sync(Upload, json_input, inputs)
        try:
            retrying = tenacity.AsyncRetrying(**self._retry.options())
            return await retrying(self._attempt, upload, route, on_progress, httpx_options)
        finally:
            upload.close()

    async def _attempt(
        self, upload: Upload, route: str, on_progress: OnProgress | None, httpx_options: Mapping[str, Any]
    ) -> InferenceResult:
        with CancelScope() as scope:
            exchange = Exchange(upload, on_progress, _ScopeLimit(scope))

            async def trace(event: str, info: Mapping[str, Any]) -> None:
                exchange.traced(event, info)

            options = exchange.options(httpx_options, trace, self._http.headers, self._key)
            request = self._http.stream("POST", route, content=_AsyncBody(exchange), **options)
            with exchange.errors():
                async with request as response:
                    exchange.begin(response.status_code, response.headers)
                    async for chunk in response.aiter_raw():
                        if block := exchange.collect(chunk):
                            await run_sync(exchange.receive, block)
                        exchange.report()
                    return await run_sync(exchange.finish)
        raise exchange.too_late()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncInferenceClient:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def _checked(base_url: str) -> str:
    if not base_url.lower().startswith(("http://", "https://")):
        raise ValueError("a gateway's URL begins with http:// or https://")
    return base_url


def _options(given: Mapping[str, Any], guard: Callable[..., object]) -> dict[str, Any]:
    """Return what httpx's client is made with; `guard` sees each response before all others."""
    hooks = dict(given.get("event_hooks") or {})
    hooks["response"] = [guard, *hooks.get("response", [])]
    return {**_DEFAULTS, **given, "event_hooks": hooks}


def _guard(response: httpx.Response) -> None:
    """Keep httpx from reading what has no bound: it reads answers itself, to redirect or for Digest."""
    check_encoding(response.status_code, response.headers)
    if response.status_code != httpx.codes.OK:
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Bounded(response.stream, Refusal(response.status_code, response.headers))


async def _async_guard(response: httpx.Response) -> None:
    check_encoding(response.status_code, response.headers)
    if response.status_code != httpx.codes.OK:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _AsyncBounded(response.stream, Refusal(response.status_code, response.headers))


class _Bounded(httpx.SyncByteStream):
    """The body of a refusal, as much of it as one may have."""

    def __init__(self, stream: httpx.SyncByteStream, refusal: Refusal) -> None:
        self._stream, self._refusal = stream, refusal

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._refusal.feed(chunk)
            yield chunk

    def close(self) -> None:
        self._stream.close()


class _AsyncBounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, refusal: Refusal) -> None:
        self._stream, self._refusal = stream, refusal

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._refusal.feed(chunk)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _ScopeLimit:
    """A time limit that cancels what a scope holds: it needs no connection, and no thread."""

    def __init__(self, scope: CancelScope) -> None:
        self._scope = scope
        self.passed = False  # the scope tells it itself

    def start(self, seconds: float, connection: Descriptor | None) -> None:
        self._scope.deadline = current_time() + seconds

    def stop(self) -> None:
        self._scope.deadline = inf


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
