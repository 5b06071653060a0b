"""The document as a page for people: plain HTML, without a script, that loads nothing from anywhere.

Whatever comes from the document is text and is escaped here.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any

STYLE = files(__package__).joinpath("page.css").read_text("utf-8")  # now: later it would be on the event loop
"""The style of the gateway's pages."""

_DIGEST = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A page's Content-Security-Policy: this style and nothing else."""

PAGE_HEADERS = {
    "cache-control": "no-store",  # what is told depends on the key
    "x-content-type-options": "nosniff",
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p>{description}</p>
<p>For programs: <a href="{server}/openapi.json">openapi.json</a> (OpenAPI {openapi}).</p>
{operations}
<h2>Shapes</h2>
{shapes}
</body>
</html>
"""


def page(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    parts = document["components"]
    operations = [
        _operation(asked, path, methods[asked[0]], parts["responses"])
        for path, methods in document["paths"].items()
        for asked in _alike(methods)
    ]
    shapes = [_shape(name, schema) for name, schema in parts["schemas"].items()]
    return _PAGE.format(
        style=STYLE,
        title=escape(document["info"]["title"]),
        description=escape(document["info"]["description"]),
        openapi=escape(document["openapi"]),
        server=escape(document["servers"][0]["url"].rstrip("/")),
        operations="\n".join(operations),
        shapes="\n".join(shapes),
    )


def _alike(methods: dict[str, Any]) -> list[list[str]]:
    """Return the methods of a path, those that do the same together."""
    found: dict[str, list[str]] = {}
    for method, operation in methods.items():
        found.setdefault(operation["summary"], []).append(method)
    return list(found.values())


def _operation(methods: list[str], path: str, operation: dict[str, Any], common: dict[str, Any]) -> str:
    asked = " ".join(_code(method.upper()) for method in methods)
    told = [
        f'<h2 id="{escape(operation["operationId"])}">{asked} {_code(path)}</h2>',
        f"<p>{escape(operation['summary'])}.</p>",
    ]
    if operation.get("security"):
        told.append("<p>It needs an API key, as a bearer token or as <code>X-API-Key</code>.</p>")
    if "parameters" in operation:
        given = [
            (_code(each["name"]), each["in"], _type(each["schema"]), _prose(each.get("description", "")))
            for each in operation["parameters"]
        ]
        told.append(_table(("parameter", "in", "type", "what"), given))
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        told.append(f"<h3>Request: {_code(media_type)}</h3>{_fields(content['schema'])}")
    told.append("<h3>Answers</h3>")
    responses = operation["responses"]
    resolved = [(status, _resolved(each, common)) for status, each in responses.items()]
    rows = [
        (_code(status), _prose(each["description"]), _media(each), _headers(each))
        for status, each in resolved
    ]
    told.append(_table(("status", "when", "type", "headers"), rows))
    for status, response in resolved:
        for media_type, content in response.get("content", {}).items():
            if "properties" in content.get("schema", {}) and status == "200":
                told.append(f"<h3>Answer: {_code(media_type)}</h3>{_fields(content['schema'])}")
    return "\n".join(told)


def _resolved(response: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = common[_name(response)] if "$ref" in response else response
    return found


def _media(response: dict[str, Any]) -> str:
    return " ".join(map(_code, response.get("content", {})))


def _headers(response: dict[str, Any]) -> str:
    return " ".join(map(_code, response.get("headers", {})))


def _shape(name: str, schema: dict[str, Any]) -> str:
    return f'<h3 id="shape-{escape(name)}">{escape(name)}</h3>{_fields(schema)}'


def _fields(schema: dict[str, Any]) -> str:
    """Return a table of an object's keys, below what it is."""
    needed = schema.get("required", [])
    keys = {**schema.get("properties", {}), **schema.get("patternProperties", {})}
    rows = [
        (_code(key), _type(told), "yes" if key in needed else "", _prose(told.get("description", "")))
        for key, told in keys.items()
    ]
    described = _prose(schema.get("description", ""))
    return f"<p>{described}</p>{_table(('key', 'type', 'needed', 'what'), rows)}"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(_name(schema))
        return f'<a href="#shape-{name}">{name}</a>'
    if "const" in schema or "enum" in schema:
        return " or ".join(_code(str(value)) for value in schema.get("enum", [schema.get("const")]))
    for either in ("anyOf", "oneOf"):
        if either in schema:
            return " or ".join(dict.fromkeys(map(_type, schema[either])))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "contentMediaType" in schema:
        return "bytes"
    return escape(str(schema.get("type", "anything")))


def _name(reference: dict[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _prose(text: str) -> str:
    """Return a sentence, with what is between backquotes as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"
