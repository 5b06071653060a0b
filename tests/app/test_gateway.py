"""Routes and life cycle of the application, over real sockets."""

import asyncio
import functools
import json
import re
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from inference_gateway import Gateway, Settings, current_request
from inference_gateway.errors import UnusableModel
from tests.conftest import Serve
from tests.harness.asking import PONG, POST, ROOT, call, check_plain, media_type, post
from tests.harness.log import LogCapture
from tests.harness.model import Staged, empty
from tests.harness.raw import Address, Answer, Connection, exchange, head
from tests.harness.server import serving
from tests.harness.waiting import until
from tests.harness.wire import check_problem, check_reply, digest

LIMIT = 20.0


# Other methods and paths


@pytest.mark.wire("routes: other methods 405 with Allow", "errors: problem+json")
@pytest.mark.parametrize(
    ("path", "methods", "allowed"),
    [
        (b"/", (b"PUT", b"DELETE", b"OPTIONS", b"PATCH"), {"GET", "HEAD", "POST"}),
        (b"/infer", (b"GET", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"), {"POST"}),
        (b"/ping", (b"PUT", b"OPTIONS"), {"GET", "HEAD", "POST"}),
        (b"/healthcheck", (b"DELETE", b"OPTIONS"), {"GET", "HEAD", "POST"}),
        (b"/metrics", (b"POST", b"OPTIONS"), {"GET", "HEAD"}),
    ],
)
def test_other_methods(
    path: bytes, methods: Sequence[bytes], allowed: set[str], app: Gateway, serve: Serve
) -> None:
    app.add_inference_route("/", empty)
    app.add_inference_route("/infer", empty)
    running = serve(app)
    for method in methods:
        answer = call(running.address, path, method)
        check_problem(answer, 405)
        assert set(re.split(", *", answer.header("allow") or "")) == allowed


@pytest.mark.wire("routes: other methods 405 with Allow")
def test_head_of_an_inference_route(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/infer", empty)
    answer = call(serve(app).address, b"/infer", b"HEAD")
    assert (answer.status, answer.header("allow"), media_type(answer)) == (
        405,
        "POST",
        "application/problem+json",
    )


@pytest.mark.wire("routes: other paths 404", "errors: nothing that came in is echoed")
def test_other_paths(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/infer", empty)
    running = serve(app)
    for path in (b"//", b"//ping", b"/ping/", b"/SECRET", b"/infer/", b"//infer", b"/*"):
        for method in (b"GET", b"POST"):
            answer = call(running.address, path, method)
            check_problem(answer, 404)
            assert b"SECRET" not in answer.body


@pytest.mark.wire("routes: 404 names the routes")
def test_other_paths_are_told_the_routes(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/infer", empty)
    app.add_inference_route("/study/{kind}", empty)
    running = serve(app)
    for path, method in ((b"/no", b"GET"), (b"/no", b"POST"), (b"/", b"POST")):
        problem = check_problem(call(running.address, path, method), 404)
        assert problem["detail"] == "there is no route of this path: POST to /infer, /study/{kind}"


@pytest.mark.wire("routes: 404 names the routes")
def test_who_has_no_key_is_told_no_routes(spool_dir: Path, serve: Serve) -> None:
    app = Gateway(settings=Settings(spool_dir=spool_dir, api_keys=SecretStr("KEY")))
    app.add_inference_route("/infer", empty)
    running = serve(app)
    for value, told in ((b"KEY", True), (b"other", False), (b"", False)):
        answer = exchange(running.address, head(((b"X-API-Key", value),), method=b"GET", target=b"/no"))
        assert ("/infer" in check_problem(answer, 404)["detail"]) is told
    assert "/infer" not in check_problem(call(running.address, b"/no"), 404)["detail"]


@pytest.mark.wire("routes: other paths 404")
def test_a_gateway_without_a_model(app: Gateway, serve: Serve) -> None:
    running = serve(app)
    check_problem(post(running.address), 404)
    check_plain(call(running.address, b"/ping"), 200, PONG)


def test_an_unforeseen_error_of_the_application_is_a_problem(
    spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    def broken(request: Request) -> Response:
        raise ValueError("HIDDEN")

    app = Gateway(settings=Settings(spool_dir=spool_dir), routes=[Route("/broken", broken)])
    running = serve(app)
    answer = call(running.address, b"/broken")
    check_problem(answer, 500)
    assert b"HIDDEN" not in answer.body
    call(running.address, b"/ping")  # the server logs after the answer
    assert any("HIDDEN" in line for line in log.tracebacks)


# Inference routes


@pytest.mark.wire("routes: inference POST")
def test_each_route_has_its_model(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", lambda *_: {"k": "root"})
    app.add_inference_route("/a/b", lambda *_: {"k": "deep"})
    running = serve(app)
    check_reply(post(running.address), {"k": "root"}, [], digest(ROOT))
    check_reply(post(running.address, b"/a/b"), {"k": "deep"}, [], digest(ROOT))
    check_reply(post(running.address, b"/a/b?query=1"), {"k": "deep"}, [], digest(ROOT))


@pytest.mark.wire("routes: route registered twice")
def test_a_path_is_never_taken_for_its_pattern(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/{number:int}", empty)
    running = serve(app)
    check_reply(post(running.address, b"/1"), {"parts": []}, [], digest(ROOT))
    check_problem(post(running.address, b"/{number:int}"), 404)
    check_problem(post(running.address, b"/%7Bnumber:int%7D"), 404)


def test_a_route_under_the_servers_own_path(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/model", empty)

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": "/model"} if scope["type"] == "http" else scope, receive, send)

    running = serve(mounted)
    check_reply(post(running.address, b"/model/model"), {"parts": []}, [], digest(ROOT))
    check_problem(post(running.address, b"/model"), 404)


def test_middleware_of_the_application_sees_each_request(spool_dir: Path, serve: Serve) -> None:
    seen: list[str] = []

    class Watching:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                seen.append(scope["path"])
            await self._app(scope, receive, send)

    app = Gateway(settings=Settings(spool_dir=spool_dir), middleware=[Middleware(Watching)])
    app.add_inference_route("/model", empty)
    running = serve(app)
    check_reply(post(running.address, b"/model"), {"parts": []}, [], digest(ROOT))
    assert seen[-1] == "/model"


def test_a_route_is_registered_once(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty, name="first model")
    with pytest.raises(ValueError, match=r"Route / .*first model"):
        app.add_inference_route("/", lambda *_: None, name="second")
    check_reply(post(serve(app).address), {"parts": []}, [], digest(ROOT))


@pytest.mark.wire("routes: route registered twice")
def test_a_model_without_a_name_is_named_after_itself(app: Gateway) -> None:
    app.add_inference_route("/", empty)
    with pytest.raises(ValueError, match=r"model empty$"):
        app.add_inference_route("/", empty)


class Doubler:
    """A class as model: made an instance once, when it is registered."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, str]:
        return {"thread": threading.current_thread().name}


class AsyncDoubler:
    async def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"thread": threading.current_thread().name}


def named(prefix: str, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, str]:
    return {"thread": threading.current_thread().name}


async def named_async(prefix: str, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, str]:
    await asyncio.sleep(0)
    return {"thread": threading.current_thread().name}


class Method:
    def run(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, str]:
        return {"thread": threading.current_thread().name}


@pytest.mark.parametrize(
    ("form", "on_loop"),
    [
        (Doubler, False),
        (Doubler(), False),
        (Method().run, False),
        (functools.partial(named, "x"), False),
        (lambda *_: {"thread": threading.current_thread().name}, False),
        (AsyncDoubler, True),
        (AsyncDoubler(), True),
        (functools.partial(named_async, "x"), True),
    ],
    ids=[
        "class",
        "instance",
        "method",
        "partial",
        "lambda",
        "async class",
        "async instance",
        "async partial",
    ],
)
def test_forms_of_a_model(form: Any, on_loop: bool, app: Gateway, serve: Serve) -> None:
    """A blocking one runs on a thread of its own, an async one on the event loop."""
    app.add_inference_route("/", form)
    running = serve(app)
    threads = set()
    for _ in range(3):
        answer = post(running.address)
        assert answer.status == 200, answer.body
        threads.add(json.loads(answer.body.split(b"\r\n\r\n")[1].partition(b"\r\n")[0])["thread"])
    (thread,) = threads
    assert (thread == "test-server") is on_loop
    if not on_loop:
        assert "model" in thread


class Unfinished:
    """A model that needs its weights."""

    def __init__(self, weights: str) -> None: ...

    def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        return {}


class SetUpWants:
    """A model whose set-up asks for what nobody gives."""

    def setup(self, device: str) -> None: ...

    def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        return {}


@pytest.mark.wire("routes: model that cannot be called")
@pytest.mark.parametrize(
    ("form", "says"),
    [
        (lambda json_input, inputs: {}, "(json_input, inputs) cannot be called as"),
        (Unfinished, "Unfinished(weights: str) -> None cannot be called as Unfinished()"),
        (SetUpWants, "SetUpWants.setup(device: str) -> None cannot be called as SetUpWants.setup()"),
        (Method, "Method"),
        (Method(), "cannot be called"),
        (7, "int"),
    ],
)
def test_what_cannot_be_called_is_refused_when_it_is_registered(form: Any, says: str, app: Gateway) -> None:
    with pytest.raises(UnusableModel, match=re.escape(says)):
        app.add_inference_route("/", form)
    app.add_inference_route("/", empty)


def test_a_health_handler_that_wants_arguments_is_refused(app: Gateway) -> None:
    def handler(request: Any) -> str:
        return "READY"

    with pytest.raises(UnusableModel, match="cannot be called as handler\\(\\): missing"):
        app.add_healthcheck_route(handler)  # type: ignore[arg-type]  # the mistake


def test_a_class_is_made_an_instance_once(app: Gateway, serve: Serve) -> None:
    Doubler.made = 0
    app.add_inference_route("/", Doubler)
    running = serve(app)
    for _ in range(3):
        assert post(running.address).status == 200
    assert Doubler.made == 1


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_route_may_have_its_own_concurrency(concurrency: int, app: Gateway, serve: Serve) -> None:
    together = threading.Barrier(concurrency, timeout=LIMIT)
    app.add_inference_route("/", lambda *_: {"k": together.wait()}, concurrency=concurrency)
    running = serve(app)
    connections = [Connection(running.address) for _ in range(2 * concurrency)]
    for connection in connections:
        connection.send(POST)
    for connection in connections:
        answer = connection.read_answer()
        assert answer is not None
        assert answer.status == 200
        connection.close()


@pytest.mark.wire("refused: deadline passed")
def test_a_route_may_have_its_own_time_limit(app: Gateway, serve: Serve) -> None:
    go = threading.Event()
    app.add_inference_route("/", lambda *_: go.wait(LIMIT), timeout=0.1)
    running = serve(app)
    try:
        check_problem(post(running.address), 504)
    finally:
        go.set()


def test_a_route_may_have_no_time_limit(spool_dir: Path, serve: Serve) -> None:
    app = Gateway(settings=Settings(spool_dir=spool_dir, model_timeout=0.01))
    app.add_inference_route("/", lambda *_: {"k": current_request().remaining()})
    app.add_inference_route("/unlimited", lambda *_: {"k": current_request().remaining()}, timeout=0)
    running = serve(app)
    check_reply(post(running.address, b"/unlimited"), {"k": None}, [], digest(ROOT))
    assert b"0.0" in post(running.address).body


# Setting up and ending


def check_not_now(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.header("retry-after") or "") >= 1


def wait_ready(address: Address) -> None:
    until(lambda: call(address, b"/healthcheck").body == b"READY", "readiness")


@pytest.mark.wire(
    "routes: port open during setup",
    "routes: /healthcheck 503 while setting up, draining or raising",
    "refused: not started yet",
)
def test_the_port_is_open_while_a_model_is_set_up(app: Gateway, serve: Serve, staged: Staged) -> None:
    app.add_inference_route("/", staged)
    app.add_inference_route("/other", empty)
    running = serve(app)
    check_plain(call(running.address, b"/ping"), 200, PONG)
    refused = post(running.address)
    check_problem(refused, 503)
    check_not_now(refused)
    assert post(running.address, b"/other").status == 200
    health = call(running.address, b"/healthcheck")
    assert health.body != b"READY"
    check_not_now(health)
    staged.go.set()
    wait_ready(running.address)
    assert post(running.address).status == 200
    assert staged.steps == ["setup", "warm_up", "call"]


def test_a_model_lives_once(spool_dir: Path, staged: Staged) -> None:
    staged.go.set()
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", staged)
    with serving(app) as running:
        wait_ready(running.address)
        for _ in range(2):
            assert post(running.address).status == 200
    assert staged.steps == ["setup", "warm_up", "call", "call", "teardown"]


@pytest.mark.wire("routes: failed setup")
def test_a_setup_that_fails(staged: Staged, app: Gateway, spool_dir: Path, log: LogCapture) -> None:
    """Under another server than ours the process goes on, and is found dead by its liveness probe."""
    staged.fail = True
    app.add_inference_route("/", staged)
    with serving(app) as running:
        check_plain(call(running.address, b"/ping"), 200, PONG)
        staged.go.set()
        until(lambda: call(running.address, b"/ping").status != 200, "a failed setup")
        ping = call(running.address, b"/ping")
        assert ping.status == 503
        assert ping.body != PONG
        assert call(running.address, b"/healthcheck").status == 503
        refused = post(running.address)
        check_problem(refused, 503)
        check_not_now(refused)
        assert b"HIDDEN" not in ping.body + refused.body
    (line,) = log.tracebacks
    assert "setup of model" in line
    assert "HIDDEN: no weights" in line
    assert "warm_up" not in staged.steps


@pytest.mark.wire("routes: /healthcheck 503 while setting up, draining or raising", "refused: draining")
def test_draining(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty)
    running = serve(app)
    wait_ready(running.address)
    app.drain()
    health = call(running.address, b"/healthcheck")
    assert health.status == 503
    assert health.body != b"READY"
    refused = post(running.address)
    check_problem(refused, 503)
    check_not_now(refused)
    check_plain(call(running.address, b"/ping"), 200, PONG)


def test_setup_that_ends_while_draining_does_not_open_the_gateway(
    app: Gateway, serve: Serve, staged: Staged
) -> None:
    app.add_inference_route("/", staged)
    running = serve(app)
    app.drain()
    staged.go.set()

    def warmed_up() -> bool:
        assert call(running.address, b"/healthcheck").status == 503
        return "warm_up" in staged.steps

    until(warmed_up, "the warm-up")
    for _ in range(20):  # the event loop learns of the end of the setup meanwhile
        check_problem(post(running.address), 503)


def test_a_lifespan_of_the_application_goes_around_the_gateways(spool_dir: Path) -> None:
    steps: list[str] = []

    class Model:
        def setup(self) -> None:
            steps.append("setup")

        def teardown(self) -> None:
            steps.append("teardown")

        def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
            return {}

    @asynccontextmanager
    async def lifespan(app: Gateway) -> AsyncIterator[dict[str, str]]:
        steps.append("begin")
        yield {"state": "of the application"}
        steps.append("end")

    def state(request: Request) -> Response:
        return PlainTextResponse(request.state.state)

    app = Gateway(settings=Settings(spool_dir=spool_dir), lifespan=lifespan, routes=[Route("/state", state)])
    app.add_inference_route("/", Model())
    with serving(app) as running:
        wait_ready(running.address)
        assert call(running.address, b"/state").body == b"of the application"
    assert steps == ["begin", "setup", "teardown", "end"]


def test_a_teardown_that_fails_is_logged(spool_dir: Path, log: LogCapture) -> None:
    class Model:
        def teardown(self) -> None:
            raise ValueError("no end")

        def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
            return {}

    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", Model())
    with serving(app):
        pass
    assert any("no end" in line for line in log.tracebacks)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, spool_dir: Path) -> None:
    monkeypatch.setenv("GATEWAY_SPOOL_DIR", str(spool_dir))
    monkeypatch.setenv("GATEWAY_MAX_PARTS", "7")
    settings = Gateway().settings
    assert (settings.spool_dir, settings.max_parts) == (spool_dir, 7)
