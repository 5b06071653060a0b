"""What a gateway says to those who ask how it is: `/ping`, `/healthcheck`, `/metrics`; and `/schema`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from inference_gateway.answer.problem import Problem
from inference_gateway.app.readiness import Readiness
from inference_gateway.errors import Unauthorized
from inference_gateway.execution.call import run_to_end
from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.line import Line
from inference_gateway.execution.slot import Slot
from inference_gateway.intake.api_keys import ApiKeys
from inference_gateway.payload.contract import PONG
from inference_gateway.results.schema import published
from inference_gateway.telemetry.identity import identify
from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.metrics import Metrics

Health = str | tuple[str, int] | Response
HealthHandler = Callable[[], Health | Awaitable[Health]]

_HEALTH_SECONDS = 10.0  # for the health check's handler: probes give up long before
_HEALTH_THREADS = 2
_SCHEMA = published()  # read now: later it would be on the event loop
_NOT_NOW = {"retry-after": "2"}


class Probes:
    """The routes of the probes. `health` answers `/healthcheck` where the gateway itself is ready."""

    def __init__(self, readiness: Readiness, metrics: Metrics, api_keys: ApiKeys | None) -> None:
        self.health: HealthHandler = lambda: "READY"
        self._readiness = readiness
        self._metrics = metrics
        self._api_keys = api_keys
        self._line = Line("health check", _HEALTH_THREADS)  # of threads that do not keep the process

    def routes(self, *, metrics: bool) -> list[Route]:
        """Of `/metrics` only where it is asked for."""
        methods = ["GET", "HEAD", "POST"]
        found = [
            Route("/ping", self._ping, methods=methods),
            Route("/healthcheck", self._healthcheck, methods=methods),
        ]
        found.append(Route("/schema", self._tell_schema, methods=["GET"]))
        if metrics:
            found.append(Route("/metrics", self._tell_metrics, methods=["GET"]))
        return found

    async def _ping(self, request: Request) -> Response:
        unhealthy = self._readiness.unhealthy
        return PlainTextResponse(PONG) if unhealthy is None else PlainTextResponse(unhealthy, 503)

    async def _healthcheck(self, request: Request) -> Response:
        unready = self._readiness.unready
        if unready is not None:
            return PlainTextResponse(unready, 503, _NOT_NOW)
        asked_by = CurrentRequest("healthcheck", "/healthcheck")
        slot = Slot(self._line, asked_by, timeout=_HEALTH_SECONDS, queue_timeout=_HEALTH_SECONDS)
        try:
            answer = await slot.call(run_to_end, self.health)
            if isinstance(answer, Response):
                return answer
            text, status = (answer, 200) if isinstance(answer, str) else answer
            return PlainTextResponse(text, status)
        except Exception:
            logger.exception("the health check's handler failed")
            return PlainTextResponse("the health check failed", 503, _NOT_NOW)
        finally:
            slot.release()

    async def _tell_schema(self, request: Request) -> Response:
        return Response(_SCHEMA, media_type="application/schema+json")

    async def _tell_metrics(self, request: Request) -> Any:
        if self._api_keys is not None:
            try:
                self._api_keys.check(request.scope["headers"])
            except Unauthorized as error:
                request_id, trace, _ = identify(request.scope["headers"])
                return Problem.of(error, request_id, traceparent=trace.traceparent)
        return Response(self._metrics.text(), media_type=self._metrics.content_type)
