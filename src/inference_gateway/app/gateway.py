"""The application: routes, probes, life cycle, and what is answered where no route is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from inference_gateway.answer.problem import Problem
from inference_gateway.app.about import About, AboutRoute
from inference_gateway.app.descriptions import Descriptions
from inference_gateway.app.endpoint import InferenceEndpoint, Shared
from inference_gateway.app.gauges import of_batches, of_gateway, of_route
from inference_gateway.app.life import Life
from inference_gateway.app.probes import HealthHandler, Probes
from inference_gateway.app.readiness import Readiness
from inference_gateway.app.runners import in_processes, on_threads
from inference_gateway.audit.auditor import Auditor
from inference_gateway.audit.metrics import of_audit
from inference_gateway.errors import MultipartError, SetupFailed, Unauthorized
from inference_gateway.execution.batch_runner import BatchRunner
from inference_gateway.execution.call import Model
from inference_gateway.execution.check import Contract
from inference_gateway.execution.model_info import ModelInfo
from inference_gateway.execution.process.keeper import SharedKeeper
from inference_gateway.execution.runner import Order, OwnRunner, Runner, Telling
from inference_gateway.execution.signature import check_signature
from inference_gateway.execution.slots import Slots
from inference_gateway.intake.admission import Uploads
from inference_gateway.intake.api_keys import ApiKeys
from inference_gateway.intake.workers import Workers
from inference_gateway.multipart import Encoder
from inference_gateway.payload.contract import BINARY_TYPES
from inference_gateway.payload.spool_budget import SpoolBudget
from inference_gateway.results.mode import Mode
from inference_gateway.settings import Settings
from inference_gateway.telemetry.identity import identify
from inference_gateway.telemetry.metrics import Metrics
from inference_gateway.telemetry.request_lines import RequestLines
from inference_gateway.telemetry.tracing import Tracing, variables

Lifespan = Callable[["Gateway"], AbstractAsyncContextManager[Any]]


class Gateway(Starlette):
    """An ASGI application that puts models behind HTTP.

    `settings`: read from the environment where not given. `binary_types`: `binary_type` → media type, in
    addition to those of the wire contract. `lifespan`: run around the gateway's own, as with Starlette.
    `model_info`: what the models of all routes are that say nothing else.

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
        model_info: ModelInfo | None = None,
        **starlette: Any,
    ) -> None:
        self.settings = settings or Settings()
        self.metrics = Metrics()
        self._binary_types = {**BINARY_TYPES, **_checked(binary_types or {})}
        self._runners: list[Runner] = []
        self._keeper = SharedKeeper()
        tracing = None
        if variables(self.settings.tracing, os.environ) is not None:
            tracing = Tracing(self.settings.tracing)
        self._model_info = model_info
        self._auditor = auditor = Auditor.of(self.settings)
        self._shared = Shared(
            settings=self.settings,
            uploads=Uploads(self.settings.max_uploads),
            budget=SpoolBudget(self.settings.spool_quota_bytes),
            workers=Workers(),
            observers=[each for each in (self.metrics, RequestLines(), tracing, auditor) if each is not None],
            tracing=tracing,
            readiness=Readiness(self.settings, self._runners),
            api_keys=ApiKeys.of(self.settings),
            auditor=auditor,
        )
        self._endpoints: dict[str, InferenceEndpoint] = {}
        own = None if lifespan is None else partial(lifespan, self)
        readiness, api_keys = self._shared.readiness, self._shared.api_keys
        self._life = Life(self.settings, self._runners, readiness, api_keys, tracing, auditor, own)
        self._about = About(readiness, api_keys)
        self._probes = Probes(readiness, self.metrics, api_keys)
        super().__init__(lifespan=lambda _: self._life.lived(), **starlette)
        self.router.redirect_slashes = False
        self.add_exception_handler(HTTPException, _problem)
        self.add_exception_handler(Exception, _problem)
        self.router.routes.extend(self._probes.routes(metrics=self.settings.metrics))
        self.router.routes.append(AboutRoute("/", self._about.tell, self.router.routes))
        self.metrics.source(self._about.metrics)
        if auditor is not None:
            readiness.audit = lambda: auditor.unready
            self.metrics.source(of_audit(auditor))
        keys = self._shared.api_keys is not None
        described = Descriptions(self._models_for, metrics=self.settings.metrics, keys=keys)
        self.router.routes.extend(described.routes(self.router.routes))
        shared = self._shared
        self.metrics.source(of_gateway(shared.uploads, shared.budget, shared.readiness))

    def add_inference_route(
        self,
        route: str,
        model: Model | Callable[..., Any] | str | OwnRunner,
        *,
        name: str | None = None,
        concurrency: int | None = None,
        timeout: float | None = None,
        isolation: Literal["thread", "process"] | None = None,
        slots: Slots | None = None,
        max_calls: int = 0,
        validate: Mode | None = None,
        max_batch_size: int | None = None,
        max_batch_wait: float = 0.01,
        model_info: ModelInfo | None = None,
    ) -> None:
        """Serve `model` on POST `route`.

        `model(json_input, inputs, input_hash)` is a blocking callable, an `async def` one, or a class (made
        an instance here) or instance with `__call__` and, if it likes, `setup()`, `warm_up()` and
        `teardown()`. `concurrency`: calls at once; `timeout`: seconds for a call, 0 for no limit; both from
        the settings where not given. `name`: for the log. Raises `ValueError` where the route is taken,
        `UnusableModel` where `model` cannot be called so.

        `isolation`: "process" gives the model processes of its own; then it is a function or a class of a
        module, or its name as "module:object", which this process does not import. `slots`: devices, or calls
        at once, that several routes share. `max_calls`: after so many a process is replaced, 0 for never.
        `validate`: what is done about faults in its answers ("off", "warn", "strict"), from the settings
        where not given.

        `max_batch_size`: the model is `model(requests)`, called with up to so many requests at once, and
        returns a list with the result or the exception of each. `max_batch_wait`: seconds that a free slot
        waits for more of them.

        `model_info`: what the model is; else what the gateway was given, or what the model has as its
        `model_info` after its set-up.

        A model may bring what runs it, as `integrations.ray.RayModel` does.
        """
        taken = self._endpoints.get(route)
        if taken is not None:
            raise ValueError(f"Route {route} already maps to model {taken.runner.name}")
        if slots is not None and concurrency is not None:
            raise ValueError("give either slots, which say how many calls run at once, or concurrency")
        if isinstance(model, OwnRunner) and (slots or concurrency or isolation or max_calls):
            raise ValueError("a model that brings its runner has these options of its own")
        in_process = (isolation or self.settings.isolation) == "process"
        name = name or _name_of(model)
        slots = slots or Slots(concurrency or self.settings.model_concurrency, name=name)
        limit = self.settings.model_timeout if timeout is None else timeout or None
        batches = max_batch_size is not None
        mode = validate or self.settings.validation
        contract = Contract(self._binary_types, self.settings.spool_dir, mode, at_rest=batches)
        order = Order(route, name, contract, self.settings, limit, model_info or self._model_info)
        calling: Any
        if isinstance(model, OwnRunner):
            calling = model.runner(order)
        elif in_process:
            calling = in_processes(order, model, slots, self._keeper, max_calls)
        else:
            calling = on_threads(order, model, slots)
        runner: Runner = calling
        if max_batch_size is not None:
            runner = batching = BatchRunner(
                calling,
                max_size=max_batch_size,
                max_wait=max_batch_wait,
                timeout=limit,
                queue_timeout=self.settings.queue_timeout,
            )
            self.metrics.source(of_batches(route, batching.sizes))
        self._runners.append(runner)
        endpoint = self._endpoints[route] = InferenceEndpoint(runner, self._shared)
        # Looked at before the probes, unless it might match theirs.
        at = len(self.router.routes) if "{" in route else 0
        self.router.routes.insert(at, Route(route, endpoint, methods=["POST"]))
        self.metrics.add_route(route)
        self.metrics.source(of_route(runner, endpoint.queue))
        if isinstance(calling, Telling):
            self.metrics.source(calling.samples)
        introduction = self._about.add(runner)
        if self._auditor is not None:
            self._auditor.add_route(route, introduction)

    def build_middleware_stack(self) -> ASGIApp:
        """Starlette's stack, which most inference requests do without: they need nothing of it."""
        stack = super().build_middleware_stack()
        if not self.user_middleware:
            stack = _Shortcut(self._endpoints, stack)
        return _FirstMessage(self, stack)

    def add_healthcheck_route(self, handler: HealthHandler) -> None:
        """Lets `handler()` answer `/healthcheck`: a `str`, `(str, status)` or a Starlette `Response`.

        By contract the text `READY` means ready. It may be `async`; a blocking one runs on a thread. After
        ten seconds the answer is 503. Raises `UnusableModel` where it cannot be called without arguments.
        """
        check_signature(handler, getattr(handler, "__name__", "handler"))
        self._probes.health = handler

    def on_failure(self, tell: Callable[[Exception], str | None]) -> None:
        """Have `tell` called, on the event loop, with what each request fails of.

        What it returns goes to the client as `traceback` of the problem: only for the model's author, since
        it may hold anything of the request. It has to let go of the error, whose frames hold all of that.
        """
        self._shared.on_failure = tell

    @property
    def is_set_up(self) -> bool:
        """Whether all models may be called."""
        return self._shared.readiness.is_set_up

    @property
    def setup_failed(self) -> asyncio.Event:
        """Is set when the gateway will never be ready."""
        return self._shared.readiness.setup_failed

    @property
    def setup_error(self) -> SetupFailed | None:
        """What a model's set-up failed of; its `__cause__` is what the model raised."""
        return self._shared.readiness.setup_error

    def drain(self) -> None:
        """Take no new requests from now on: readiness says 503, those in flight go on."""
        self._shared.readiness.drain()

    def routes_for(self, headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
        """Return the inference routes, none for a request that lacks the API key that is asked for."""
        try:
            if self._shared.api_keys is not None:
                self._shared.api_keys.check(headers)
        except Unauthorized:
            return []
        return list(self._endpoints)

    def _models_for(self, scope: Scope) -> dict[str, str]:
        """Return the names of the models by route, as `routes_for` tells the routes."""
        return {route: self._endpoints[route].runner.name for route in self.routes_for(scope["headers"])}

    async def begin(self) -> None:
        """Begin with the first message, where no lifespan has started the gateway."""
        if not self._life.begun:
            await self._life.begin_alone()


def _name_of(model: Any) -> str:
    if isinstance(model, OwnRunner):
        return model.target
    return model if isinstance(model, str) else str(getattr(model, "__qualname__", type(model).__qualname__))


class _FirstMessage:
    """Stands in front of the gateway's `stack` until the first message that is no lifespan has come."""

    def __init__(self, gateway: Gateway, stack: ASGIApp) -> None:
        self._gateway = gateway
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            self._gateway.middleware_stack = self._stack
            await self._gateway.begin()
        await self._stack(scope, receive, send)


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
    """Raise `ValueError` for a media type that cannot stand in a header."""
    for name, media_type in binary_types.items():
        try:
            Encoder("check").begin_part([("Content-Type", media_type)])
        except MultipartError as error:
            raise ValueError(f"binary type {name!r} has no usable media type: {error}") from None
    return binary_types


async def _problem(request: Request, error: Exception) -> Any:
    """Answer what the routes themselves do not, by a problem: 404, 405, an error of the gateway itself."""
    request_id, trace, _ = identify(request.scope["headers"])
    named: dict[str, Any] = {"request_id": request_id, "traceparent": trace.traceparent}
    if not isinstance(error, HTTPException):
        return Problem(500, "the gateway failed: its operator finds the reason in the log", **named)
    detail, allow = "the request cannot be served", None
    if error.status_code == 404:
        mounted_at = request.scope.get("root_path", "")
        routes = [mounted_at + route for route in request.app.routes_for(request.scope["headers"])]
        there_are = ", ".join(routes) or "an inference route, such as /"
        detail = f"there is no route of this path: POST to {there_are}"
    elif error.status_code == 405:
        detail, allow = "this route does not take this method: see the Allow header", _allowed(request, error)
    after_body = request.app.settings.refuse_after_body
    return Problem(error.status_code, detail, **named, allow=allow, after_body=after_body)


def _allowed(request: Request, error: HTTPException) -> str:
    """Return the methods that the path takes (RFC 9110 §10.2.1): it may be that of several routes."""
    found = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",")}
    for route in request.app.router.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found - {""}))
