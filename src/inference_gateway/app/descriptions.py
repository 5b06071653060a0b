"""`/openapi.json` and `/docs`: the description of the API, with the routes of this gateway.

Whatever else the application has at these paths goes before them. Inference routes are told only to who has
the API key, where keys are asked for; all else needs none, as `/schema` does.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from inference_gateway.description.document import published
from inference_gateway.description.page import PAGE_HEADERS, page
from inference_gateway.description.served import served

_COMMON = published()  # read now: later it would be on the event loop
# Not stored: what is told depends on the key.
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class LastRoute(Route):
    """A route for GET that lets any other of `routes`, wherever it stands in them, go first."""

    def __init__(
        self, path: str, endpoint: Callable[[Request], Awaitable[Response]], routes: Sequence[BaseRoute]
    ) -> None:
        super().__init__(path, endpoint, methods=["GET"])
        self._routes = routes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route does, unless another one takes the request."""
        found = super().matches(scope)
        if found[0] is not Match.NONE:
            others = (route for route in self._routes if not isinstance(route, LastRoute))
            if any(route.matches(scope)[0] is Match.FULL for route in others):
                return Match.NONE, {}
        return found


class Descriptions:
    """What describes a gateway. `models`: what tells the names of its models by route, to who may know."""

    def __init__(self, models: Callable[[Scope], Mapping[str, str]], *, metrics: bool, keys: bool) -> None:
        self._models = models
        self._metrics = metrics
        self._keys = keys

    def routes(self, among: Sequence[BaseRoute]) -> list[Route]:
        """Return the routes of the descriptions. `among`: all routes of the application."""
        return [
            LastRoute("/openapi.json", self._tell_document, among),
            LastRoute("/docs", self._tell_page, among),
        ]

    def _document(self, scope: Scope) -> dict[str, Any]:
        mounted_at = scope.get("root_path", "")
        models = self._models(scope)
        return served(json.loads(_COMMON), models, server=mounted_at, metrics=self._metrics, keys=self._keys)

    async def _tell_document(self, request: Request) -> Response:
        text = json.dumps(self._document(request.scope))
        return Response(text, media_type="application/json", headers=_HEADERS)

    async def _tell_page(self, request: Request) -> Response:
        text = page(self._document(request.scope))
        return Response(text, media_type="text/html", headers=PAGE_HEADERS)
