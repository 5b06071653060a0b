"""GET /: who answers here, for programs and for people, and what goes on meaning what it did."""

import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from inference_gateway import Gateway, ModelInfo, Settings
from inference_gateway.app.about import wants_page
from tests.conftest import Serve
from tests.harness.asking import call, media_type, post
from tests.harness.model import Staged, empty
from tests.harness.raw import Address, Answer, exchange, head
from tests.harness.waiting import until
from tests.harness.wire import check_problem, digest

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def get(address: Address, *headers: tuple[bytes, bytes], path: bytes = b"/") -> Answer:
    answer = exchange(address, head(((b"Connection", b"close"), *headers), method=b"GET", target=path))
    assert answer is not None
    return answer


def models(answer: Answer) -> list[dict[str, Any]]:
    assert (answer.status, media_type(answer)) == (200, "application/json")
    found: list[dict[str, Any]] = json.loads(answer.body)["models"]
    return found


@pytest.mark.wire("routes: / says who answers")
def test_programs_get_json(app: Gateway, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"w")
    info = ModelInfo("Lungs", "1.2", weights=tmp_path / "weights")
    app.add_inference_route("/", empty, model_info=info)
    app.add_inference_route("/other", empty)
    running = serve(app)
    until(lambda: all(model["ready"] for model in models(get(running.address))))
    answer = get(running.address)
    assert json.loads(answer.body).keys() == {"gateway", "models"}
    assert models(answer) == [
        {"route": "/", "name": "Lungs", "version": "1.2", "digest": digest(b"w"), "ready": True},
        {"route": "/other", "name": "empty", "version": None, "digest": None, "ready": True},
    ]
    assert answer.header("vary") == "accept"
    without_body = call(running.address, b"/", b"HEAD")
    assert (without_body.status, without_body.body) == (200, b"")


@pytest.mark.wire("routes: / says who answers")
def test_people_get_a_page_that_loads_nothing(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty, model_info=ModelInfo("<b>Lungs & more</b>", "1.2", "a" * 64))
    answer = get(serve(app).address, (b"Accept", BROWSER))
    assert (answer.status, media_type(answer)) == (200, "text/html")
    page = answer.body.decode()
    assert "&lt;b&gt;Lungs &amp; more&lt;/b&gt;" in page
    assert "a" * 64 in page
    assert not re.search(r"https?:|src=|href=|url\(|@import|<script", page)
    policy = answer.header("content-security-policy") or ""
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        (BROWSER.decode(), True),
        ("text/html", True),
        ("TEXT/HTML;q=0.5", True),
        ("text/html;q=0", False),
        ("text/html;q=0.5, application/json", False),
        ("application/json;q=0.5, text/html;level=1;q=0.6", True),
        ("text/html;q=x", False),
        (";;,,", False),
    ],
)
def test_who_wants_a_page(accept: str, page: bool) -> None:
    assert wants_page(accept) is page


def test_a_model_that_is_being_set_up_is_not_ready(app: Gateway, serve: Serve, staged: Staged) -> None:
    app.add_inference_route("/", staged)
    running = serve(app)
    assert models(get(running.address))[0]["ready"] is False
    staged.go.set()
    until(lambda: models(get(running.address))[0]["ready"])


def test_weights_that_are_not_there_fail_the_set_up(app: Gateway, serve: Serve, tmp_path: Path) -> None:
    app.add_inference_route("/", empty, model_info=ModelInfo("Lungs", weights=tmp_path / "none"))
    running = serve(app)
    until(app.setup_failed.is_set)
    assert call(running.address, b"/ping").status == 503


def test_what_the_gateway_says_is_of_the_models_that_nothing_else_is_said_of(
    spool_dir: Path, serve: Serve
) -> None:
    class Own:
        model_info = ModelInfo("its own")

        def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
            return {}

    app = Gateway(settings=Settings(spool_dir=spool_dir), model_info=ModelInfo("the gateway's"))
    app.add_inference_route("/a", Own)
    app.add_inference_route("/b", empty, model_info=ModelInfo("the route's"))
    other = Gateway(settings=Settings(spool_dir=spool_dir))
    other.add_inference_route("/a", Own)
    found = models(get(serve(app).address)) + models(get(serve(other).address))
    assert [model["name"] for model in found] == ["the gateway's", "the route's", "its own"]


def test_a_model_may_say_it_in_its_setup(app: Gateway, serve: Serve) -> None:
    class Late:
        model_info: ModelInfo | None = None

        def setup(self) -> None:
            self.model_info = ModelInfo("Lungs", "of the file that it has loaded")

        def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
            return {}

    app.add_inference_route("/", Late, max_batch_size=None)
    running = serve(app)
    until(lambda: models(get(running.address))[0]["ready"])
    assert models(get(running.address))[0]["name"] == "Lungs"
    assert post(running.address).header("x-model-version") == "of the file that it has loaded"


def test_metrics_tell_it_too(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty, model_info=ModelInfo('a "b"', "1.2"))
    text = get(serve(app).address, path=b"/metrics").body.decode()
    assert 'gateway_model_info{digest="",name="a \\"b\\"",route="/",version="1.2"} 1.0' in text


def test_who_has_no_key_is_told_nothing(spool_dir: Path, serve: Serve) -> None:
    app = Gateway(settings=Settings(spool_dir=spool_dir, api_keys=SecretStr("KEY")))
    app.add_inference_route("/", empty)
    running = serve(app)
    check_problem(get(running.address), 401)
    assert models(get(running.address, (b"X-API-Key", b"KEY")))


@pytest.mark.wire("routes: other methods 405 with Allow")
def test_a_study_by_get_is_refused(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty)
    running = serve(app)
    for method, allowed in ((b"GET", "POST"), (b"PUT", "GET, HEAD, POST")):
        answer = call(running.address, b"/", method, b"study")
        check_problem(answer, 405)
        assert answer.header("allow") == allowed


def test_a_page_of_the_applications_own_goes_before(spool_dir: Path, serve: Serve) -> None:
    async def mine(request: Request) -> PlainTextResponse:
        return PlainTextResponse("mine")

    before = Gateway(settings=Settings(spool_dir=spool_dir), routes=[Route("/", mine)])
    after = Gateway(settings=Settings(spool_dir=spool_dir))
    after.add_inference_route("/", empty)
    before.add_inference_route("/", empty)
    after.router.routes.append(Mount("/", Starlette(routes=[Route("/", mine)])))
    for app in (before, after):
        running = serve(app)
        assert get(running.address).body == b"mine"
        assert post(running.address).status == 200


def test_where_it_is_mounted(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty)
    around = Starlette(routes=[Mount("/lungs", app)], lifespan=app.router.lifespan_context)
    running = serve(around)
    assert models(get(running.address, path=b"/lungs/"))[0]["route"] == "/"
    assert get(running.address, path=b"/").status == 404


def test_it_is_told_while_a_request_goes_on(app: Gateway, serve: Serve, staged: Staged) -> None:
    staged.go.set()
    app.add_inference_route("/", staged)
    running = serve(app)
    until(lambda: models(get(running.address))[0]["ready"])
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(post(running.address).status))
    thread.start()
    assert models(get(running.address))
    thread.join()
    assert answers == [200]
