"""The document as one gateway serves it: with its own routes, where it is mounted, and what it asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.routing import compile_path

_PARAMETERS = {
    "IntegerConvertor": {"type": "integer", "minimum": 0},
    "FloatConvertor": {"type": "number", "minimum": 0},
    "UUIDConvertor": {"type": "string", "format": "uuid"},
}


def served(
    common: dict[str, Any],
    models: Mapping[str, str],
    *,
    server: str = "",
    metrics: bool = True,
    keys: bool = False,
) -> dict[str, Any]:
    """Return the document of a gateway. `common`: what all gateways have.

    `models`: inference route → the name of its model. `server`: where the gateway is mounted. `metrics`:
    whether it has `/metrics`. `keys`: whether an API key is asked for.
    """
    others: dict[str, Any] = {path: dict(methods) for path, methods in common["paths"].items()}
    inference = others["/"].pop("post")
    if not metrics:
        del others["/metrics"]
    if keys:
        for path in others.keys() & {"/", "/metrics"}:
            others[path]["get"] = {**others[path]["get"], "security": _SECURITY}
    paths: dict[str, Any] = {}
    ids: set[str] = set()
    for route, model in models.items():
        path, parameters = _path(route)
        operation = {**inference, "operationId": _new_id(route, ids), "summary": f"Run the model {model}"}
        if parameters:
            operation["parameters"] = [*parameters, *inference["parameters"]]
            operation["responses"] = inference["responses"] | {"404": _NO_ROUTE}
        if keys:
            operation["security"] = _SECURITY
        paths[path] = {"post": operation}
    for path, methods in others.items():
        paths[path] = methods | paths.get(path, {})
    return {
        **common,
        "servers": [{"url": server or "/"}],
        "paths": {path: told for path, told in paths.items() if told},
    }


_NO_ROUTE = {"$ref": "#/components/responses/Problem404"}
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]


def _path(route: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a route as OpenAPI writes it, and its parameters."""
    _, path, convertors = compile_path(route)
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _PARAMETERS.get(type(convertor).__name__, {"type": "string", "minLength": 1}),
        }
        for name, convertor in convertors.items()
    ]
    return path, parameters


def _new_id(route: str, taken: set[str]) -> str:
    """Return an `operationId` that no other route has, and add it to `taken`."""
    plain = "_".join(["infer", *re.findall(r"\w+", route, re.ASCII)])
    number = 1
    found = plain
    while found in taken:
        number += 1
        found = f"{plain}_{number}"
    taken.add(found)
    return found
