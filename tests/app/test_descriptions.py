"""`/openapi.json` and `/docs` of a running gateway, and what goes before them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from inference_gateway import Gateway, Settings
from inference_gateway.description.document import document
from inference_gateway.description.page import POLICY, page
from inference_gateway.description.served import served
from tests.conftest import Serve
from tests.harness.asking import call, media_type, post
from tests.harness.model import empty
from tests.harness.raw import Address, exchange, head
from tests.harness.wire import check_problem

PATHS = (b"/openapi.json", b"/docs")


def told(address: Address, path: bytes = b"/openapi.json") -> dict[str, Any]:
    answer = call(address, path)
    assert (answer.status, media_type(answer)) == (200, "application/json")
    found: dict[str, Any] = json.loads(answer.body)
    return found


@pytest.mark.wire("routes: /openapi.json")
def test_the_document_has_the_routes_of_this_gateway(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty)
    app.add_inference_route("/lung", empty, name="lung")
    address = serve(app).address
    assert told(address) == served(document(), {"/": "empty", "/lung": "lung"})


@pytest.mark.wire("routes: /docs")
def test_the_page_is_that_of_the_document(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty)
    answer = call(serve(app).address, b"/docs")
    assert (answer.status, media_type(answer)) == (200, "text/html")
    assert answer.body.decode() == page(served(document(), {"/": "empty"}))
    assert answer.header("content-security-policy") == POLICY
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("referrer-policy") == "no-referrer"


@pytest.mark.parametrize("path", PATHS)
def test_other_methods(path: bytes, app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty)
    address = serve(app).address
    for method in (b"POST", b"PUT", b"OPTIONS"):
        answer = call(address, path, method)
        check_problem(answer, 405)
        assert set(re.split(", *", answer.header("allow") or "")) == {"GET", "HEAD"}
    assert call(address, path, b"HEAD").status == 200


async def mine(request: Request) -> Response:
    return PlainTextResponse("mine")


@pytest.mark.parametrize("path", PATHS)
def test_an_inference_route_of_that_path_is_served(path: bytes, app: Gateway, serve: Serve) -> None:
    app.add_inference_route(path.decode(), empty)
    address = serve(app).address
    assert post(address, path).status == 200
    refused = call(address, path, b"OPTIONS")
    check_problem(refused, 405)
    assert set(re.split(", *", refused.header("allow") or "")) == {"GET", "HEAD", "POST"}
    assert path.decode() in told(address)["paths"]


@pytest.mark.parametrize("path", PATHS)
def test_what_else_an_application_has_there_goes_first(path: bytes, spool_dir: Path, serve: Serve) -> None:
    settings = Settings(spool_dir=spool_dir)
    before = Gateway(settings=settings, routes=[Route(path.decode(), mine)])
    after = Gateway(settings=settings)
    after.router.routes.append(Route(path.decode(), mine))
    mounted = Gateway(settings=settings)
    mounted.mount("/", Starlette(routes=[Route(path.decode(), mine)]))
    for app in (before, after, mounted):
        answer = call(serve(app).address, path)
        assert (answer.status, answer.body) == (200, b"mine")


def test_a_route_of_another_method_leaves_them_be(app: Gateway, serve: Serve) -> None:
    app.router.routes.append(Route("/docs", mine, methods=["PUT"]))
    address = serve(app).address
    assert media_type(call(address, b"/docs")) == "text/html"
    assert call(address, b"/docs", b"PUT").body == b"mine"


def test_mounted_they_say_where(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty)
    address = serve(Starlette(routes=[Mount("/liver", app=app)])).address
    assert told(address, b"/liver/openapi.json")["servers"] == [{"url": "/liver"}]
    assert b'href="/liver/openapi.json"' in call(address, b"/liver/docs").body


def test_routes_are_told_to_who_has_the_key(spool_dir: Path, serve: Serve) -> None:
    """All else is told to everybody, as `/schema` is."""
    app = Gateway(settings=Settings(spool_dir=spool_dir, api_keys=SecretStr("open-sesame")))
    app.add_inference_route("/secret-route", empty, name="secret-model")
    address = serve(app).address
    for path in PATHS:
        assert b"secret" not in call(address, path).body
        answer = exchange(address, head(((b"X-API-Key", b"open-sesame"),), method=b"GET", target=path))
        assert answer is not None
        assert b"/secret-route" in answer.body
        assert b"secret-model" in answer.body
    assert told(address)["paths"]["/metrics"]["get"]["security"]


def test_without_metrics(spool_dir: Path, serve: Serve) -> None:
    app = Gateway(settings=Settings(spool_dir=spool_dir, metrics=False))
    assert "/metrics" not in told(serve(app).address)["paths"]
