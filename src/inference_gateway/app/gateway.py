"""The application: routes, probes, life cycle, and what is answered where no route is."""

from __future__ import annotations

import asyncio
import gc
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from inference_gateway.answer.problem import Problem
from inference_gateway.app.endpoint import SHUTTING_DOWN, InferenceEndpoint, Shared
from inference_gateway.app.process import exempt_from_collection, keep_freed_memory, share_the_lock
from inference_gateway.errors import RequestError, SetupFailed, Unauthorized
from inference_gateway.execution.call import Model, run_to_end
from inference_gateway.execution.runner import ModelRunner
from inference_gateway.execution.signature import check_signature
from inference_gateway.intake.admission import Uploads
from inference_gateway.intake.api_keys import ApiKeys
from inference_gateway.intake.workers import Workers
from inference_gateway.multipart import Encoder
from inference_gateway.payload.contract import BINARY_TYPES, PONG
from inference_gateway.payload.spool import SpoolBudget, check_directory
from inference_gateway.settings import Settings
from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.metrics import Metrics
from inference_gateway.telemetry.record import new_request_id
from inference_gateway.telemetry.request_lines import RequestLines

_TEAR_DOWN_SECONDS = 1.0  # that the models' ends may take longer than the drain
_HEALTH_SECONDS = 10.0  # for the health check's handler: probes give up long before
_STUCK = "a model does not come back"
_NOT_NOW = {"retry-after": "2"}
Health = str | tuple[str, int] | Response
HealthHandler = Callable[[], Health | Awaitable[Health]]
Lifespan = Callable[["Gateway"], AbstractAsyncContextManager[Any]]


class Gateway(Starlette):
    """An ASGI application that puts models behind HTTP.

    `settings`: read from the environment where not given. `binary_types`: `binary_type` → media type, in
    addition to those of the wire contract. `lifespan`: run around the gateway's own, as with Starlette.

    ```python
    app = Gateway()
    app.add_inference_route("/", model)
    ```
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        binary_types: Mapping[str, str] | None = None,
        lifespan: Lifespan | None = None,
        **starlette: Any,
    ) -> None:
        self.settings = settings or Settings()
        self.metrics = Metrics()
        self._user_lifespan = lifespan
        self._shared = Shared(
            settings=self.settings,
            binary_types={**BINARY_TYPES, **_checked(binary_types or {})},
            uploads=Uploads(self.settings.max_uploads),
            budget=SpoolBudget(self.settings.spool_quota_bytes),
            workers=Workers(),
            observers=(self.metrics, RequestLines()),
            api_keys=ApiKeys.of(self.settings),
        )
        self._endpoints: dict[str, InferenceEndpoint] = {}
        self.add_healthcheck_route(lambda: "READY")
        self.setup_failed = asyncio.Event()
        self._setting_up: list[asyncio.Task[None]] = []
        self._draining = False
        self._drain_end: float | None = None  # by time.monotonic()
        super().__init__(lifespan=type(self)._life, **starlette)
        self.router.redirect_slashes = False
        self.add_exception_handler(HTTPException, _problem)
        self.add_exception_handler(Exception, _problem)
        probe_methods = ["GET", "HEAD", "POST"]
        self.router.routes.append(Route("/ping", self._ping, methods=probe_methods))
        self.router.routes.append(Route("/healthcheck", self._healthcheck, methods=probe_methods))
        if self.settings.metrics:
            self.router.routes.append(Route("/metrics", self._metrics, methods=["GET"]))
        self.metrics.gauge("uploads", lambda: self._shared.uploads.count)
        self.metrics.gauge("spool_bytes", lambda: self._shared.budget.used)

    def add_inference_route(
        self,
        route: str,
        model: Model | Callable[..., Any],
        *,
        name: str | None = None,
        concurrency: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Serves `model` on POST `route`.

        `model(json_input, inputs, input_hash)` is a blocking callable, an `async def` one, or a class (made
        an instance here) or instance with `__call__` and, if it likes, `setup()`, `warm_up()` and
        `teardown()`. `concurrency`: calls at once; `timeout`: seconds for a call, 0 for no limit; both from
        the settings where not given. `name`: for the log. Raises `ValueError` where the route is taken,
        `UnusableModel` where `model` cannot be called so.
        """
        taken = self._endpoints.get(route)
        if taken is not None:
            raise ValueError(f"Route {route} already maps to model {taken.runner.name}")
        name = name or str(getattr(model, "__qualname__", type(model).__qualname__))
        instance: Any = model
        if inspect.isclass(model):
            check_signature(model, name)
            instance = model()
        check_signature(instance, name, "json_input", "inputs", "input_hash")
        runner = ModelRunner(
            route,
            instance,
            name=name,
            concurrency=concurrency or self.settings.model_concurrency,
            timeout=self.settings.model_timeout if timeout is None else timeout or None,
            queue_timeout=self.settings.queue_timeout,
        )
        endpoint = self._endpoints[route] = InferenceEndpoint(runner, self._shared)
        # Looked at before the probes, unless it might match theirs.
        at = len(self.router.routes) if "{" in route else 0
        self.router.routes.insert(at, Route(route, endpoint, methods=["POST"]))
        self.metrics.add_route(route)
        self.metrics.gauge("queued", lambda: endpoint.queue.count, route)
        self.metrics.gauge("slots_taken", lambda: runner.slots_taken, route)
        self.metrics.gauge("orphaned", lambda: runner.orphaned, route)

    def build_middleware_stack(self) -> ASGIApp:
        """Starlette's stack, which most inference requests do without: they need nothing of it."""
        stack = super().build_middleware_stack()
        return stack if self.user_middleware else _Shortcut(self._endpoints, stack)

    def add_healthcheck_route(self, handler: HealthHandler) -> None:
        """Lets `handler()` answer `/healthcheck`: a `str`, `(str, status)` or a Starlette `Response`.

        By contract the text `READY` means ready. It may be `async`; a blocking one runs on a thread. After
        ten seconds the answer is 503.
        """
        self._health = ModelRunner(  # for its threads, which do not keep the process, and its time limit
            "/healthcheck",
            handler,
            name="health check",
            concurrency=2,
            timeout=_HEALTH_SECONDS,
            queue_timeout=_HEALTH_SECONDS,
        )

    @asynccontextmanager
    async def _life(self) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            share_the_lock()
            keep_freed_memory()
            exempt_from_collection()
            stack.callback(gc.unfreeze)
            await asyncio.to_thread(check_directory, self.settings.spool_dir)
            if (api_keys := self._shared.api_keys) is not None:
                await asyncio.to_thread(api_keys.load)
                stack.callback(asyncio.create_task(api_keys.keep_fresh()).cancel)
            state = None
            if self._user_lifespan is not None:
                state = await stack.enter_async_context(self._user_lifespan(self))
            stack.push_async_callback(self._tear_down_all)
            for endpoint in self._endpoints.values():
                endpoint.unavailable = "the model is being set up: try again later"
                self._setting_up.append(asyncio.create_task(self._set_up(endpoint)))
            stack.callback(self.drain)
            yield state

    async def _set_up(self, endpoint: InferenceEndpoint) -> None:
        try:
            await endpoint.runner.set_up()
        except SetupFailed as error:
            logger.error("%s", error, exc_info=error.__cause__)
            endpoint.unavailable = "the model could not be set up: its operator finds the reason in the log"
            self.setup_failed.set()
        else:
            if hasattr(endpoint.runner.model, "setup"):
                await asyncio.to_thread(exempt_from_collection)
            if not self._draining:
                endpoint.unavailable = None
                if self.is_set_up:
                    logger.info("the models are set up: POST to %s", ", ".join(self._endpoints))

    async def _tear_down_all(self) -> None:
        """All at once, in what is left of the drain's time."""
        await asyncio.gather(*map(self._tear_down, self._endpoints.values()))

    async def _tear_down(self, endpoint: InferenceEndpoint) -> None:
        if endpoint.runner.slots_taken:  # after the drain: it will not come back
            logger.warning("model %s is still busy: ended without its teardown", endpoint.runner.name)
            return
        try:
            async with asyncio.timeout(self._drain_end and self._drain_end - time.monotonic()):
                await endpoint.runner.tear_down()
        except TimeoutError:
            logger.warning("teardown of model %s took too long", endpoint.runner.name)
        except Exception:
            logger.exception("teardown of model %s failed", endpoint.runner.name)

    @property
    def is_set_up(self) -> bool:
        """Whether all models may be called."""
        return not any(endpoint.unavailable for endpoint in self._endpoints.values())

    def drain(self) -> None:
        """Takes no new requests from now on: readiness says 503, those in flight go on."""
        if not self._draining and self.settings.drain_timeout is not None:
            self._drain_end = time.monotonic() + self.settings.drain_timeout + _TEAR_DOWN_SECONDS
        self._draining = True
        for endpoint in self._endpoints.values():
            endpoint.unavailable = SHUTTING_DOWN

    async def _ping(self, request: Request) -> Response:
        if self.setup_failed.is_set():
            return PlainTextResponse("a model could not be set up", 503)
        if self._is_stuck(self.settings.orphaned_unhealthy_after):
            return PlainTextResponse(_STUCK, 503)
        return PlainTextResponse(PONG)

    def _is_stuck(self, limit: float | None) -> bool:
        """Whether no call of some route has come back for so long, although nobody waits for them."""
        return limit is not None and any(
            endpoint.runner.stuck_for > limit for endpoint in self._endpoints.values()
        )

    async def _healthcheck(self, request: Request) -> Response:
        if self._draining:
            return PlainTextResponse("shutting down", 503, _NOT_NOW)
        if not self.is_set_up:
            return PlainTextResponse("a model is not set up", 503, _NOT_NOW)
        if self._is_stuck(self.settings.orphaned_unready_after):
            return PlainTextResponse(_STUCK, 503, _NOT_NOW)
        slot = self._health.slot("healthcheck")
        try:
            answer = await slot.call(run_to_end, self._health.model)
            if isinstance(answer, Response):
                return answer
            text, status = (answer, 200) if isinstance(answer, str) else answer
            return PlainTextResponse(text, status)
        except Exception:
            logger.exception("the health check's handler failed")
            return PlainTextResponse("the health check failed", 503, _NOT_NOW)
        finally:
            slot.release()

    def routes_for(self, headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
        """Return the inference routes, none for a request that lacks the API key that is asked for."""
        try:
            if self._shared.api_keys is not None:
                self._shared.api_keys.check(headers)
        except Unauthorized:
            return []
        return list(self._endpoints)

    async def _metrics(self, request: Request) -> Any:
        if self._shared.api_keys is not None:
            try:
                self._shared.api_keys.check(request.scope["headers"])
            except Unauthorized as error:
                return Problem.of(error, new_request_id())
        return Response(self.metrics.text(), media_type=self.metrics.content_type)


class _Shortcut:
    """Gives a POST to the very path of an inference route to its endpoint, and all else to `stack`.

    All else: paths with parameters too, and what a server mounts under a path of its own.
    """

    def __init__(self, endpoints: Mapping[str, InferenceEndpoint], stack: ASGIApp) -> None:
        self._endpoints = endpoints
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._stack
        if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
            path = scope["path"]
            if "{" not in path:
                app = self._endpoints.get(path, app)
        await app(scope, receive, send)


def _checked(binary_types: Mapping[str, str]) -> Mapping[str, str]:
    """Raises `ValueError` for a media type that cannot stand in a header."""
    for name, media_type in binary_types.items():
        try:
            Encoder("check").begin_part([("Content-Type", media_type)])
        except RequestError as error:
            raise ValueError(f"binary type {name!r} has no usable media type: {error}") from None
    return binary_types


async def _problem(request: Request, error: Exception) -> Any:
    """What the routes themselves do not answer, as a problem: 404, 405, an error of the gateway itself."""
    if not isinstance(error, HTTPException):
        return Problem(500, "the gateway failed: its operator finds the reason in the log", new_request_id())
    detail = "the request cannot be served"
    if error.status_code == 404:
        routes = request.app.routes_for(request.scope["headers"])
        there_are = ", ".join(routes) or "an inference route, such as /"
        detail = f"there is no route of this path: POST to {there_are}"
    elif error.status_code == 405:
        detail = "this route does not take this method: see the Allow header"
    allow = (error.headers or {}).get("Allow")
    return Problem(error.status_code, detail, new_request_id(), allow=allow)
