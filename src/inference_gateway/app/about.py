"""Who answers here: the routes and their models, at GET `/`. JSON for programs, a page for people."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Match
from starlette.types import Scope

from inference_gateway.answer.problem import Problem
from inference_gateway.app.descriptions import LastRoute
from inference_gateway.app.readiness import Readiness
from inference_gateway.description.page import PAGE_HEADERS, STYLE
from inference_gateway.errors import Unauthorized
from inference_gateway.execution.model_info import ModelInfo
from inference_gateway.execution.runner import Runner
from inference_gateway.intake.api_keys import ApiKeys
from inference_gateway.intake.header import has_body
from inference_gateway.telemetry.families import MODEL_INFO, Sample
from inference_gateway.telemetry.identity import identify

_DISTRIBUTION = "dicom-inference-gateway"
_VERSION = metadata.version(_DISTRIBUTION)

# What is told depends on Accept as well.
_HEADERS = {"vary": "accept", "cache-control": "no-store", "x-content-type-options": "nosniff"}


class AboutRoute(LastRoute):
    """The route of `About.tell`. A POST is for an inference route, or for none: 404, which names them."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match any other method, where nothing else takes it."""
        return (Match.NONE, {}) if scope.get("method") == "POST" else super().matches(scope)


class Introduction:
    """What a route says of its model."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        name = runner.name.encode("ascii", "replace").decode()[:200].strip()
        self._unsaid = ModelInfo(name or "model")

    @property
    def info(self) -> ModelInfo:
        """What the model says that it is; where it says nothing, the name that it has in the log."""
        return self._runner.model_info or self._unsaid


class About:
    """Tells of the models of a gateway."""

    def __init__(self, readiness: Readiness, api_keys: ApiKeys | None) -> None:
        self._readiness = readiness
        self._api_keys = api_keys
        self._introductions: dict[str, Introduction] = {}

    def add(self, runner: Runner) -> Introduction:
        """Tell of a route, too."""
        introduction = self._introductions[runner.route] = Introduction(runner)
        return introduction

    async def tell(self, request: Request) -> Any:
        """Answer GET `/`. Whoever may not ask for inference may not ask this."""
        headers = request.scope["headers"]
        request_id, trace, _ = identify(headers)
        named: Any = {"request_id": request_id, "traceparent": trace.traceparent}
        if "/" in self._introductions and has_body(headers):  # a study, sent by the wrong method
            return Problem(405, "a study is sent by POST: see the Allow header", allow="POST", **named)
        if any(name.lower() == b"sec-websocket-key" for name, _ in headers):
            return Problem(400, "there is no WebSocket here", **named)
        if self._api_keys is not None:
            try:
                self._api_keys.check(headers)
            except Unauthorized as error:
                return Problem.of(error, **named)
        if wants_page(request.headers.get("accept", "")):
            return HTMLResponse(self._page(), headers=PAGE_HEADERS | _HEADERS)
        return JSONResponse(self._told(), headers=_HEADERS)

    def metrics(self) -> Iterator[Sample]:
        """Tell what is scraped: one sample for each route, whose labels say what its model is."""
        for route, introduction in self._introductions.items():
            info = introduction.info
            labels = (info.digest or "", info.name, route, info.version or "")
            yield Sample(MODEL_INFO, labels, (1,), largest=True)

    def _told(self) -> dict[str, Any]:
        return {
            "gateway": {"name": _DISTRIBUTION, "version": _VERSION},
            "models": [
                {
                    "route": route,
                    "name": introduction.info.name,
                    "version": introduction.info.version,
                    "digest": introduction.info.digest,
                    "ready": self._readiness.refusal(route) is None,
                }
                for route, introduction in self._introductions.items()
            ],
        }

    def _page(self) -> str:
        told = self._told()
        rows = "".join(map(_row, told["models"]))
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><title>Inference gateway</title>'
            f"<style>{STYLE}</style></head><body><h1>Inference gateway</h1>"
            f"<p>{_DISTRIBUTION} {html.escape(_VERSION)}. Studies are sent to these routes, by POST.</p>"
            "<table><thead><tr><th>Route</th><th>Model</th><th>Version</th><th>SHA-256 of its weights</th>"
            f"<th>Now</th></tr></thead><tbody>{rows}</tbody></table></body></html>"
        )


def _row(model: Mapping[str, Any]) -> str:
    cells = [f"<code>{html.escape(model['route'])}</code>", html.escape(model["name"])]
    cells += [html.escape(model["version"] or "–"), f"<code>{model['digest'] or '–'}</code>"]
    cells.append("ready" if model["ready"] else "not ready")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def wants_page(accept: str) -> bool:
    """Whether an Accept header (RFC 9110 §12.5.1) names HTML, and ranks JSON no higher."""
    ranks: dict[str, float] = {}
    for each in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in each.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            ranks[kind] = float(weight)
        except ValueError:
            ranks[kind] = 0.0
    html_rank = ranks.get("text/html", 0.0)
    return html_rank > 0 and html_rank >= ranks.get("application/json", 0.0)
