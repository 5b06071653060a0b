"""The gateway's life: with a server's lifespan, with an application's around it, and with none."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message

from inference_gateway import Gateway, Settings
from tests.conftest import Serve
from tests.harness.log import LogCapture
from tests.harness.model import Staged
from tests.harness.raw import Address, Answer, exchange, head, request
from tests.harness.server import RunningServer
from tests.harness.waiting import until
from tests.harness.wire import check_problem, message, part

pytestmark = pytest.mark.slow

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
LIMIT = 20.0
MISSING = "was not started before its first message"


def mounted(app: Gateway) -> tuple[ASGIApp, str, None]:
    return Starlette(routes=[Mount("/liver", app=app)]), "/liver", None


def lifespan_off(app: Gateway) -> tuple[ASGIApp, str, str]:
    return app, "", "off"


def lifespan_unknown(app: Gateway) -> tuple[ASGIApp, str, str]:
    """An application around it that knows no lifespan, under a server that asks for one."""

    async def around(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http", "no lifespan here"
        await app(scope, receive, send)

    return around, "", "auto"


WITHOUT = pytest.mark.parametrize("without", [mounted, lifespan_off, lifespan_unknown])


def start(app: Gateway, without: Any, serve: Serve) -> tuple[RunningServer, bytes]:
    around, prefix, lifespan = without(app)
    config = uvicorn.Config(around, lifespan=lifespan or "on", log_config=None, access_log=False)
    return serve(around, uvicorn.Server(config)), prefix.encode()


def get(address: Address, path: bytes) -> Answer:
    answer = exchange(address, head((), method=b"GET", target=path))
    assert answer is not None
    return answer


def post(address: Address, prefix: bytes) -> Answer:
    sent = request(TYPE, message(part(b"{}")))
    answer = exchange(address, sent.replace(b"POST / ", b"POST " + prefix + b"/ "))
    assert answer is not None
    return answer


def wait_ready(address: Address, prefix: bytes) -> None:
    until(lambda: get(address, prefix + b"/healthcheck").body == b"READY", "readiness")


@pytest.mark.wire("refused: not started yet")
@WITHOUT
@pytest.mark.parametrize("first", ["ping", "healthcheck", "inference"])
def test_without_a_lifespan_the_first_message_sets_up(
    first: str, without: Any, app: Gateway, staged: Staged, serve: Serve, log: LogCapture
) -> None:
    app.add_inference_route("/", staged)
    running, prefix = start(app, without, serve)
    address = running.address
    if first == "ping":
        assert get(address, prefix + b"/ping").status == 200
    elif first == "healthcheck":
        assert get(address, prefix + b"/healthcheck").status == 503
    for _ in range(3):
        refused = post(address, prefix)
        check_problem(refused, 503)
        assert refused.header("retry-after")
    assert get(address, prefix + b"/healthcheck").status == 503
    assert get(address, prefix + b"/ping").status == 200
    staged.go.set()
    wait_ready(address, prefix)
    assert post(address, prefix).status == 200
    assert staged.steps == ["setup", "warm_up", "call"]
    assert len([line for line in log.lines if MISSING in line]) == 1


@WITHOUT
def test_a_set_up_that_takes_no_time_costs_nobody_a_second_try(
    without: Any, app: Gateway, staged: Staged, serve: Serve
) -> None:
    """Unless the machine is so busy that it takes time all the same."""
    staged.go.set()
    app.add_inference_route("/", staged)
    running, prefix = start(app, without, serve)
    if (answer := post(running.address, prefix)).status == 503:
        wait_ready(running.address, prefix)
        answer = post(running.address, prefix)
    assert answer.status == 200
    assert staged.steps == ["setup", "warm_up", "call"]


@WITHOUT
def test_a_model_without_setup_is_called_at_once(
    without: Any, app: Gateway, serve: Serve, log: LogCapture
) -> None:
    app.add_inference_route("/", lambda *_: {})
    running, prefix = start(app, without, serve)
    assert post(running.address, prefix).status == 200
    assert MISSING in log.text


def test_without_a_lifespan_a_spool_folder_that_cannot_be_used_is_told(
    tmp_path: Path, serve: Serve, log: LogCapture
) -> None:
    app = Gateway(settings=Settings(spool_dir=tmp_path / "nowhere"))
    app.add_inference_route("/", lambda *_: {})
    running, prefix = start(app, lifespan_off, serve)
    until(lambda: get(running.address, prefix + b"/ping").status != 200, "the failed start")
    check_problem(post(running.address, prefix), 503)
    assert get(running.address, prefix + b"/healthcheck").status == 503
    assert any("nowhere" in line and "GATEWAY_SPOOL_DIR" in line for line in log.lines)


def test_without_a_lifespan_the_applications_own_is_run_all_the_same(
    spool_dir: Path, staged: Staged, serve: Serve
) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Gateway) -> AsyncIterator[None]:
        steps.append("begin")
        yield

    app = Gateway(settings=Settings(spool_dir=spool_dir), lifespan=lifespan)
    app.add_inference_route("/", staged)
    running, prefix = start(app, mounted, serve)
    staged.go.set()
    wait_ready(running.address, prefix)
    assert steps == ["begin"]
    assert staged.steps == ["setup", "warm_up"]


def test_an_application_around_may_pass_its_lifespan_on(
    app: Gateway, staged: Staged, serve: Serve, log: LogCapture
) -> None:
    app.add_inference_route("/", staged)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with app.router.lifespan_context(app):
            yield

    running = serve(Starlette(routes=[Mount("/liver", app=app)], lifespan=lifespan))
    assert get(running.address, b"/liver/healthcheck").status == 503
    staged.go.set()
    wait_ready(running.address, b"/liver")
    assert post(running.address, b"/liver").status == 200
    assert staged.steps == ["setup", "warm_up", "call"]
    assert MISSING not in log.text


def test_with_a_lifespan_nothing_is_missing(app: Gateway, serve: Serve, log: LogCapture) -> None:
    app.add_inference_route("/", lambda *_: {})
    running = serve(app)
    assert post(running.address, b"").status == 200
    assert MISSING not in log.text


async def test_a_turn_that_is_just_ending_does_not_cost_the_teardown(
    spool_dir: Path, log: LogCapture
) -> None:
    """A server may end the lifespan when the last answer is out, before the model's thread hears of it."""
    torn_down = threading.Event()

    class Model:
        def __call__(self, json_input: Any, inputs: Any, input_hash: str) -> Any:
            return {"parts": [{"binary_type": "dicom"}]}, [iter([b"made as it is sent"])]

        def teardown(self) -> None:
            torn_down.set()

    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", Model())
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    answering, gone_out = asyncio.Event(), asyncio.Event()

    async def send(message: Message) -> None:
        answering.set()
        await gone_out.wait()

    body = asyncio.Queue[Message]()
    await body.put({"type": "http.request", "body": message(part(b"{}"))})
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(name.lower(), value) for name, value in TYPE],
    }
    asked = asyncio.create_task(app(scope, body.get, send))
    await answering.wait()
    await to_app.put({"type": "lifespan.shutdown"})
    shut_down = asyncio.create_task(from_app.get())
    for _ in range(20):
        await asyncio.sleep(0)
    gone_out.set()
    await asked
    assert (await shut_down)["type"] == "lifespan.shutdown.complete"
    await life
    assert torn_down.is_set()
    assert "still busy" not in log.text
