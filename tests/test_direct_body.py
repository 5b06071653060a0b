"""Large bodies of known length, read from the socket straight into the window: over real sockets."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.direct_body import DirectBody
from inference_gateway.ingest import WINDOW
from inference_gateway.server import make_server
from tests.conftest import Serve
from tests.harness.raw import Connection, head, request
from tests.harness.server import RunningServer, left_in, plain_server
from tests.harness.wire import check_problem, decoded, digest, message, part

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
BODIES = [random.Random(at).randbytes(size) for at, size in enumerate((3 << 20, 0, 700_001, WINDOW + 1))]
LARGE = message(part(b"{}"), *(part(body) for body in BODIES))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what has been read past the parser."""
    sizes: list[int] = []
    updated = DirectBody.buffer_updated

    def noted(self: DirectBody, nbytes: int) -> None:
        sizes.append(nbytes)
        updated(self, nbytes)

    monkeypatch.setattr(DirectBody, "buffer_updated", noted)
    return sizes


@pytest.fixture(params=["hardened", "uvloop", "asyncio"])
def start(request: pytest.FixtureRequest, serve: Serve, spool_dir: Path) -> Callable[..., RunningServer]:
    def run(model: Callable[..., Any] | None = None, **settings: Any) -> RunningServer:
        app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
        app.add_inference_route("/", model or sums)
        if request.param == "hardened":
            return serve(app, make_server(app, port=0))
        return serve(app, plain_server(app, loop=request.param))

    return run


def sums(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    return {"sums": [digest(each.getvalue()) for each in inputs], "hash": input_hash}


@pytest.mark.parametrize("size", [1 << 20, 100_003])
def test_a_large_body_arrives_as_it_is(
    start: Callable[..., RunningServer], reads: list[int], size: int
) -> None:
    running = start()
    whole = request(TYPE, LARGE)
    with Connection(running.address) as connection:
        for _ in range(2):  # the connection serves on
            connection.send(*(whole[at : at + size] for at in range(0, len(whole), size)))
            answer = connection.read_answer()
            assert answer is not None
            assert answer.status == 200
            ((_, _, told), _) = decoded(answer)
            for body in BODIES:
                assert digest(body).encode() in told
            assert digest(b"{}", *BODIES).encode() in told
    assert sum(reads) > len(LARGE)


def test_a_small_body_comes_through_the_parser(start: Callable[..., RunningServer], reads: list[int]) -> None:
    with Connection(start().address) as connection:
        connection.send(request(TYPE, message(part(b"{}"), part(bytes(1000)))))
        answer = connection.read_answer()
    assert answer is not None
    assert answer.status == 200
    assert reads == []


def test_expect_100_continue(start: Callable[..., RunningServer], reads: list[int]) -> None:
    with Connection(start().address) as connection:
        length = (b"Content-Length", str(len(LARGE)).encode())
        connection.send(head((*TYPE, length, (b"Expect", b"100-continue"))))
        assert connection.read_interim() == 100
        connection.send(LARGE)
        answer = connection.read_answer()
    assert answer is not None
    assert answer.status == 200
    assert sum(reads) > 0


def test_an_early_answer_is_seen_and_the_rest_is_thrown_away(
    start: Callable[..., RunningServer], reads: list[int], spool_dir: Path
) -> None:
    running = start()
    wrong = message(part(b"{}"), part(b"x", b"no colon")) + bytes(20 << 20)
    with Connection(running.address) as connection:
        connection.send(request(TYPE, wrong))
        check_problem(connection.read_answer(), 400)
        assert connection.rest() == b""
    running.watched.wait_idle()
    assert sum(reads) > WINDOW
    assert left_in(spool_dir) == []


def test_a_client_that_leaves_in_the_middle(
    start: Callable[..., RunningServer], reads: list[int], spool_dir: Path
) -> None:
    running = start()
    with Connection(running.address) as connection:
        connection.send(request(TYPE, LARGE)[: WINDOW + (1 << 20)])
        running.watched.wait_until(1)
        connection.reset()
    running.watched.wait_idle()
    assert left_in(spool_dir) == []
    with Connection(running.address) as connection:
        connection.send(request(TYPE, LARGE))
        answer = connection.read_answer()
    assert answer is not None
    assert answer.status == 200


def test_a_client_that_stops(start: Callable[..., RunningServer], reads: list[int]) -> None:
    running = start(idle_timeout=0.3)
    with Connection(running.address) as connection:
        connection.send(request(TYPE, LARGE)[: 2 << 20])
        check_problem(connection.read_answer(), 408)


def test_a_second_request_behind_it_is_not_read_as_body(start: Callable[..., RunningServer]) -> None:
    """The body ends where its length says; what follows is a request too early, and not answered."""
    running = start()
    with Connection(running.address) as connection:
        connection.send(request(TYPE, LARGE) + request(TYPE, message(part(b"{}"))))
        answer = connection.read_answer()
        assert answer is not None
        assert answer.status == 200
        ((_, _, told), _) = decoded(answer)
        assert digest(b"{}", *BODIES).encode() in told
