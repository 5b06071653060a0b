"""What a gateway says to those who ask how it is: /ping, /healthcheck, /metrics."""

import functools
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from inference_gateway import Gateway, Settings
from tests.conftest import Serve
from tests.harness.asking import PONG, POST, ROOT, call, check_plain, media_type, post
from tests.harness.log import LogCapture
from tests.harness.model import empty
from tests.harness.raw import Address, Answer, Connection, head
from tests.harness.waiting import until
from tests.harness.wire import check_problem, message, part

PROBES = (b"GET", b"HEAD", b"POST")
LIMIT = 20.0


@pytest.mark.wire("routes: /ping")
def test_ping(app: Gateway, serve: Serve) -> None:
    running = serve(app)
    for method in PROBES:
        answer = call(running.address, b"/ping", method)
        check_plain(answer, 200, PONG, method)
        assert answer.header("content-length") == str(len(PONG))


def test_ping_takes_a_body(app: Gateway, serve: Serve) -> None:
    running = serve(app)
    with Connection(running.address) as connection:
        for _ in range(2):
            connection.send(head(((b"Content-Length", b"3"),), target=b"/ping") + b"abc")
            answer = connection.read_answer()
            assert answer is not None
            assert answer.body == PONG


async def async_health() -> str:
    return "READY"


class AsyncHealth:
    async def __call__(self) -> str:
        return "READY"


@pytest.mark.wire("routes: /healthcheck says what the handler says")
@pytest.mark.parametrize(
    ("handler", "status", "body"),
    [
        (lambda: "READY", 200, b"READY"),
        (lambda: "warming up", 200, b"warming up"),
        (lambda: "", 200, b""),
        (lambda: ("NOT READY", 503), 503, b"NOT READY"),
        (lambda: ("READY", 200), 200, b"READY"),
        (lambda: PlainTextResponse("gone", 500), 500, b"gone"),
        (async_health, 200, b"READY"),
        (functools.partial(async_health), 200, b"READY"),
        (AsyncHealth(), 200, b"READY"),
        (lambda: async_health(), 200, b"READY"),
    ],
    ids=[
        "text",
        "other text",
        "empty text",
        "tuple",
        "tuple 200",
        "response",
        "async",
        "async partial",
        "async instance",
        "lambda of async",
    ],
)
def test_healthcheck(handler: Any, status: int, body: bytes, app: Gateway, serve: Serve) -> None:
    app.add_healthcheck_route(handler)
    running = serve(app)
    for method in PROBES:
        check_plain(call(running.address, b"/healthcheck", method), status, body, method)


@pytest.mark.wire("routes: /healthcheck says what the handler says")
def test_healthcheck_with_a_response_of_its_own_type(app: Gateway, serve: Serve) -> None:
    app.add_healthcheck_route(lambda: JSONResponse({"gpu": "ok"}, 207, headers={"x-gpu": "1"}))
    answer = call(serve(app).address, b"/healthcheck")
    assert (answer.status, media_type(answer), answer.header("x-gpu")) == (207, "application/json", "1")
    assert json.loads(answer.body) == {"gpu": "ok"}


@pytest.mark.wire("routes: /healthcheck says what the handler says")
def test_healthcheck_without_a_handler(app: Gateway, serve: Serve) -> None:
    check_plain(call(serve(app).address, b"/healthcheck"), 200, b"READY")


@pytest.mark.wire("routes: /healthcheck 503 while setting up, draining or raising")
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [ValueError("HIDDEN"), SystemExit("HIDDEN")], ids=["error", "exit"])
def test_healthcheck_that_raises(
    error: BaseException, is_async: bool, app: Gateway, serve: Serve, log: LogCapture
) -> None:
    def fail() -> str:
        raise error

    async def fail_async() -> str:
        raise error

    app.add_healthcheck_route(fail_async if is_async else fail)
    running = serve(app)
    answer = call(running.address, b"/healthcheck")
    assert answer.status == 503
    assert b"HIDDEN" not in answer.body
    assert any("HIDDEN" in line for line in log.tracebacks)
    check_plain(call(running.address, b"/ping"), 200, PONG)


@pytest.mark.wire("routes: /healthcheck 503 while setting up, draining or raising")
@pytest.mark.parametrize("answer", [None, 3, ("READY", 200, 1), b"READY"])
def test_healthcheck_that_says_nothing_sensible(answer: Any, app: Gateway, serve: Serve) -> None:
    app.add_healthcheck_route(lambda: answer)
    assert call(serve(app).address, b"/healthcheck").status == 503


def test_a_slow_healthcheck_holds_nobody_up(app: Gateway, serve: Serve) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go.wait(LIMIT)
        return "READY"

    app.add_inference_route("/", empty)
    app.add_healthcheck_route(slow)
    running = serve(app)
    try:
        with Connection(running.address) as connection:
            connection.send(head((), method=b"GET", target=b"/healthcheck"))
            assert begun.wait(LIMIT)
            check_plain(call(running.address, b"/ping"), 200, PONG)
            assert post(running.address).status == 200
            go.set()
            answer = connection.read_answer()
            assert answer is not None
            check_plain(answer, 200, b"READY")
    finally:
        go.set()


def test_probes_are_answered_while_all_is_taken(spool_dir: Path, serve: Serve) -> None:
    begun, go = threading.Event(), threading.Event()

    def held(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        begun.set()
        assert go.wait(LIMIT)
        return {}

    app = Gateway(settings=Settings(spool_dir=spool_dir, max_uploads=1, max_queue=1))
    app.add_inference_route("/", held)
    running = serve(app)
    try:
        with Connection(running.address) as first, Connection(running.address) as second:
            first.send(POST)
            assert begun.wait(LIMIT)
            second.send(POST[:-5])
            running.watched.wait_until(2)
            check_problem(post(running.address), 503)
            check_plain(call(running.address, b"/ping"), 200, PONG)
            check_plain(call(running.address, b"/healthcheck"), 200, b"READY")
            assert call(running.address, b"/metrics").status == 200
    finally:
        go.set()


# Metrics


def samples(address: Address) -> dict[str, float]:
    answer = call(address, b"/metrics")
    assert answer.status == 200
    assert media_type(answer) == "text/plain"
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


class Hung:
    """A model whose calls come back when they are let."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.calls = 0

    def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        self.calls += 1
        assert self.go.wait(LIMIT)
        return {}


@pytest.fixture
def hung() -> Iterator[Hung]:
    model = Hung()
    yield model
    model.go.set()


def wait_served(address: Address, path: bytes = b"/") -> None:
    """Until a request is answered well: limits this short pass by themselves on a busy machine."""
    until(lambda: post(address, path).status == 200, "a good answer")


def wait_status(address: Address, path: bytes, status: int) -> Answer:
    def look() -> Answer | None:
        answer = call(address, path)
        return answer if answer.status == status else None

    found = until(look, f"status {status}")
    assert found is not None
    return found


@pytest.mark.setting("ORPHANED_UNREADY_AFTER")
def test_a_model_that_does_not_come_back_is_told_by_readiness(
    hung: Hung, spool_dir: Path, serve: Serve
) -> None:
    """Requests are refused as ever meanwhile, and all is well when the call is back."""
    settings = Settings(
        spool_dir=spool_dir, model_timeout=0.05, queue_timeout=0.05, orphaned_unready_after=0.2
    )
    app = Gateway(settings=settings)
    app.add_inference_route("/", hung)
    app.add_inference_route("/other", empty)
    address = serve(app).address
    assert call(address, b"/healthcheck").status == 200
    check_problem(post(address), 504)
    answer = wait_status(address, b"/healthcheck", 503)
    assert answer.body == b"a model does not come back"
    assert int(answer.header("retry-after") or "") >= 1
    check_plain(call(address, b"/ping"), 200, PONG)
    refused = post(address)
    check_problem(refused, 503)
    assert refused.header("retry-after")
    wait_served(address, b"/other")
    assert hung.calls == 1
    hung.go.set()
    wait_status(address, b"/healthcheck", 200)
    wait_served(address)


@pytest.mark.setting("ORPHANED_UNHEALTHY_AFTER")
def test_a_model_that_does_not_come_back_is_told_by_liveness_where_asked_for(
    hung: Hung, spool_dir: Path, serve: Serve
) -> None:
    settings = Settings(
        spool_dir=spool_dir, model_timeout=0.05, orphaned_unready_after=0, orphaned_unhealthy_after=0.2
    )
    app = Gateway(settings=settings)
    app.add_inference_route("/", hung)
    address = serve(app).address
    check_problem(post(address), 504)
    check_plain(wait_status(address, b"/ping", 503), 503, b"a model does not come back")
    assert call(address, b"/healthcheck").status == 200
    hung.go.set()
    wait_status(address, b"/ping", 200)


@pytest.mark.wire("routes: /metrics")
def test_metrics(app: Gateway, serve: Serve) -> None:
    app.add_inference_route("/", empty)
    app.add_inference_route("/failing", lambda *_: 1 / 0)
    running = serve(app)
    for path in (b"/", b"/", b"/failing"):
        post(running.address, path)
    running.watched.wait_idle()
    found = samples(running.address)
    assert found['gateway_requests_total{route="/",status="200"}'] == 2
    assert found['gateway_requests_total{route="/failing",status="500"}'] == 1
    size = len(message(part(ROOT)))
    assert found['gateway_received_bytes_total{route="/"}'] == 2 * size
    for phase in ("upload", "queue", "model", "answer"):
        assert found[f'gateway_request_seconds_count{{phase="{phase}",route="/"}}'] == 2
    for gauge in ("queued", "slots_taken", "orphaned"):
        assert found[f'gateway_{gauge}{{route="/"}}'] == 0
    assert found["gateway_uploads"] == found["gateway_spool_bytes"] == 0


@pytest.mark.setting("METRICS")
@pytest.mark.wire("routes: /metrics")
def test_metrics_switched_off(spool_dir: Path, serve: Serve) -> None:
    running = serve(Gateway(settings=Settings(spool_dir=spool_dir, metrics=False)))
    check_problem(call(running.address, b"/metrics"), 404)
