"""The API of every gateway as an OpenAPI 3.1 document, with one inference route, `/`.

It is made of the models of the contract (`results.fields`) and the tree of errors, and lies in the package as
a file. `python -m inference_gateway.description.document docs` writes it anew, there and into docs/.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from inference_gateway.description.problems import ProblemKind, problem_kinds
from inference_gateway.errors import REFUSED_TYPE
from inference_gateway.payload.contract import FAULTS_HEADER, PONG

FILE = "openapi.json"
"""Its file, in this package and in docs/."""

PROBLEM_JSON = "application/problem+json"
_SCHEMAS = "#/components/schemas/"
_HASHES = "^[0-9a-f]{64}:[0-9a-f]{64}$"

_INFO = {
    "title": "inference-gateway",
    "version": "1.0",  # of the wire, as `protocol_version` has it
    "description": "A medical-imaging model behind HTTP. A client posts the whole study as one "
    "multipart/related request, and gets one multipart/related answer. Every error is a problem document "
    "(RFC 9457).",
}

_NAMES = {
    "X-Request-ID": "what the gateway's log knows the request by",
    "traceparent": "the request's place in a trace (W3C Trace Context)",
}
"""What names a request: taken from the caller where it is well-formed, and answered."""

_TIMING = {"Server-Timing": "milliseconds of the phases that have ended (W3C Server Timing)"}
_MODEL_HEADERS: dict[str, dict[str, Any]] = {
    f"x-model-{what}": {"description": f"{told}, where the model says so", "schema": {"type": "string"}}
    for what, told in (
        ("name", "what the model is called"),
        ("version", "its version"),
        ("digest", "the SHA-256 of its weights"),
    )
}


def document() -> dict[str, Any]:
    """Return the whole document, from the models and the errors as they are now."""
    # Here, and not above: a gateway serves the file, and starts sooner without the models.
    from pydantic.json_schema import models_json_schema

    from inference_gateway.results.fields import AnswerJson, RequestJson

    shapes = [(AnswerJson, "validation"), (RequestJson, "validation")]
    made = models_json_schema(shapes, ref_template=_SCHEMAS + "{model}")[1]["$defs"]  # type: ignore[arg-type]
    kinds = problem_kinds()
    return {
        "openapi": "3.1.1",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "paths": {
            "/": {"post": _inference(kinds), "get": _about()},
            "/ping": _asked("ping", "Liveness: whether the process is up", _ping()),
            "/healthcheck": _asked("healthcheck", "Readiness: whether requests are taken", _healthcheck()),
            "/metrics": {"get": _metrics()},
            "/schema": {
                "get": _told("schema", "The JSON Schema of an answer's JSON", "application/schema+json")
            },
            "/openapi.json": {"get": _told("openapi", "This document", "application/json")},
            "/docs": {"get": _told("docs", "This document as a page for people", "text/html")},
        },
        "components": {
            "schemas": {**made, "Problem": _problem()},
            "responses": {
                **{f"Problem{status}": _answers(status, kinds) for status in _statuses(kinds)},
                "Problem404": {
                    **_problem_of({"status": {"const": 404}}),
                    "description": "There is no route of this path",
                },
            },
            "headers": {
                name: {"description": told, "required": True, "schema": {"type": "string"}}
                for name, told in {**_NAMES, **_TIMING}.items()
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "an API key as a bearer token"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def document_text() -> str:
    """Return the document as it is written into the files."""
    return json.dumps(document(), indent=2) + "\n"


def published() -> bytes:
    """Return the document that lies in the package."""
    return files(__package__).joinpath(FILE).read_bytes()


def _inference(kinds: list[ProblemKind]) -> dict[str, Any]:
    inputs = {"contentMediaType": "application/octet-stream"}  # bytes, of no type that JSON knows
    request = {
        "description": "The JSON first, then the inputs, in their order. What the parts are called is "
        "without meaning. `start` of the Content-Type may name another part as the JSON.",
        "type": "object",
        "properties": {
            "request": {
                "description": "what the test tool sends, or any other JSON that the model asks for",
                "anyOf": [{"$ref": _SCHEMAS + "RequestJson"}, {}],
            },
            "image": {
                "description": "the inputs, such as the DICOM files of a study",
                "type": "array",
                "items": inputs,
            },
        },
        "required": ["request"],
    }
    answer = {
        "description": "The JSON, one element for each entry of its `parts`, and the hashes: the SHA-256 of "
        "the input and of the output. An answer without hashes is not whole.",
        "type": "object",
        "properties": {
            "json-body": {"$ref": _SCHEMAS + "AnswerJson"},
            "hashes": {"type": "string", "pattern": _HASHES},
        },
        "patternProperties": {"^elem_[0-9]+$": inputs},
        "required": ["json-body", "hashes"],
        "additionalProperties": False,
    }
    faults = {
        "description": "how many faults the answer's JSON has, where it is sent nonetheless",
        "schema": {"type": "integer", "minimum": 1},
    }
    refusals = {
        str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in _statuses(kinds)
    }
    own = {
        **_problem_of({"type": {"const": REFUSED_TYPE}}),
        "description": "The model refuses the request with a status of its own",
        "headers": _names(*_TIMING),
    }
    return {
        "operationId": "infer",
        "summary": "Run the model",
        "parameters": [
            {
                "name": name,
                "in": "header",
                "description": f"{told}; a new one is made where none comes or it is not well-formed",
                "schema": {"type": "string"},
            }
            for name, told in _NAMES.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/related": {
                    "schema": request,
                    "encoding": {
                        "request": {"contentType": "application/json"},
                        "image": {"contentType": "application/dicom, application/octet-stream"},
                    },
                }
            },
        },
        "responses": {
            "200": {
                "description": "The answer of the model",
                "headers": {**_names(*_TIMING), **_MODEL_HEADERS, FAULTS_HEADER.decode(): faults},
                "content": {
                    "multipart/related": {
                        "schema": answer,
                        "encoding": {
                            "json-body": {"contentType": "application/json"},
                            "hashes": {"contentType": "text/plain"},
                        },
                    }
                },
            },
            **refusals,
            "4XX": own,
        },
    }


def _statuses(kinds: list[ProblemKind]) -> list[int]:
    return sorted({kind.status for kind in kinds})


def _answers(status: int, kinds: list[ProblemKind]) -> dict[str, Any]:
    """Return the response of one status: every kind of problem that has it."""
    own = [kind for kind in kinds if kind.status == status]
    types = list(dict.fromkeys(kind.type for kind in own))
    headers = _names(*_TIMING)
    if any(kind.says_when for kind in own):
        headers["Retry-After"] = {"description": "seconds", "required": True, "schema": {"type": "integer"}}
    if status == 401:
        headers["WWW-Authenticate"] = {"required": True, "schema": {"const": "Bearer"}}
    return {
        **_problem_of({"status": {"const": status}, "type": {"enum": types}}),
        "description": ". ".join(dict.fromkeys(kind.meaning for kind in own)),
        "headers": headers,
    }


def _problem_of(narrower: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": _SCHEMAS + "Problem", "properties": narrower}
    return {"headers": _names(), "content": {PROBLEM_JSON: {"schema": schema}}}


def _names(*others: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_NAMES, *others)}


def _problem() -> dict[str, Any]:
    return {
        "title": "Problem",
        "description": "Why there is no answer (RFC 9457). Nothing of the request is in it.",
        "type": "object",
        "properties": {
            "type": {
                "description": "the kind of problem, where the status does not say it all",
                "type": "string",
                "format": "uri-reference",
            },
            "title": {"description": "the status or the kind, in words", "type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"description": "the cause and the next step, in one sentence", "type": "string"},
            "request_id": {"description": "as in X-Request-ID", "type": "string"},
        },
        "required": ["type", "title", "status", "detail", "request_id"],
    }


def _text(description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": description, "content": {"text/plain": {"schema": schema or {"type": "string"}}}}


def _about() -> dict[str, Any]:
    """Return GET `/`: it may be the path of an inference route, too."""
    text = {"type": "string"}
    maybe = {"type": ["string", "null"]}
    model = {"route": text, "name": text, "version": maybe, "digest": maybe, "ready": {"type": "boolean"}}
    shape = {
        "type": "object",
        "properties": {
            "gateway": _all_of({"name": text, "version": text}),
            "models": {"type": "array", "items": _all_of(model)},
        },
        "required": ["gateway", "models"],
    }
    told = _told("about", "Which models answer here", "application/json")
    told["responses"]["200"]["content"] = {"application/json": {"schema": shape}, "text/html": {}}
    told["responses"]["401"] = {"$ref": "#/components/responses/Problem401"}
    return told


def _all_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ping() -> dict[str, Any]:
    return {
        "200": _text("It is up", {"const": PONG}),
        "503": _text("It will never be ready, or a model hangs: it is to be restarted"),
    }


def _healthcheck() -> dict[str, Any]:
    return {
        "200": _text("It is ready, by contract with the text READY"),
        "503": _text("Not now: models are being set up, it drains, or a model hangs"),
        "default": {"description": "What the application's own health check answers"},
    }


def _asked(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    """Return a probe's path: GET and POST alike, and HEAD without the text."""
    without = {status: {"description": each["description"]} for status, each in responses.items()}
    return {
        "get": {"operationId": name, "summary": summary, "responses": responses},
        "head": {"operationId": f"{name}Head", "summary": summary, "responses": without},
        "post": {"operationId": f"{name}Post", "summary": summary, "responses": responses},
    }


def _metrics() -> dict[str, Any]:
    told = _told("metrics", "Metrics in Prometheus' text format", "text/plain")
    told["responses"]["401"] = {"$ref": "#/components/responses/Problem401"}
    return told


def _told(name: str, summary: str, media_type: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {media_type: {}}}},
    }


def write(folder: Path) -> None:
    """Write the document into the package and into `folder`."""
    for path in (Path(__file__).parent / FILE, folder / FILE):
        path.write_text(document_text(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
