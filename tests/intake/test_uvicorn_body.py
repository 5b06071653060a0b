"""Bodies of known length, taken from uvicorn or read from the socket past it: over real sockets."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.intake import uvicorn_body
from inference_gateway.intake.body import WholeBody
from inference_gateway.intake.uvicorn_body import DirectBody
from inference_gateway.intake.workers import WINDOW
from inference_gateway.serving.server import make_server
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


@pytest.fixture
def wholes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the bodies that were there already."""
    sizes: list[int] = []

    def noted(cycle: Any) -> WholeBody:
        sizes.append(len(cycle.body))
        return whole(cycle)

    whole = uvicorn_body._whole
    monkeypatch.setattr(uvicorn_body, "_whole", noted)
    return sizes


@pytest.mark.parametrize("size", [10, 1000, 60_000])
def test_a_small_body_comes_through_the_parser(
    start: Callable[..., RunningServer], reads: list[int], wholes: list[int], size: int
) -> None:
    body = message(part(b"{}"), part(bytes(size)))
    with Connection(start().address) as connection:
        for _ in range(2):  # the connection serves on
            connection.send(request(TYPE, body))
            answer = connection.read_answer()
            assert answer is not None
            assert answer.status == 200
            ((_, _, told), _) = decoded(answer)
            assert digest(b"{}", bytes(size)).encode() in told
    assert reads == []
    if size < 60_000:
        assert wholes == [len(body)] * 2  # it came with its header


def test_a_small_body_that_comes_after_its_header(
    start: Callable[..., RunningServer], wholes: list[int]
) -> None:
    body = message(part(b"{}"))
    running = start()
    with Connection(running.address) as connection:
        connection.send(head((*TYPE, (b"Content-Length", str(len(body)).encode()))) + body[:3])
        running.watched.wait_until(1)
        connection.send(body[3:])
        answer = connection.read_answer()
    assert answer is not None
    assert answer.status == 200
    assert wholes == []


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


@pytest.mark.slow
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


CLOSING = (b"Connection", b"close")


@pytest.mark.parametrize("then", [b"", b"\r\n", b"GARBAGE\r\n\r\n", request(TYPE, message(part(b"{}")))])
@pytest.mark.slow
def test_what_follows_is_judged_alike_after_a_small_and_a_large_body(
    then: bytes, start: Callable[..., RunningServer], reads: list[int]
) -> None:
    """The parser after an upload that has gone past it lets pass what the one before did."""
    running = start()
    seen = []
    for inputs in ([], [bytes(3 << 20)]):
        with Connection(running.address) as connection:
            connection.send(request(TYPE, message(part(b"{}"), *map(part, inputs))))
            first = connection.read_answer()
            assert first is not None
            assert first.status == 200
            connection.send(request((*TYPE, CLOSING), message(part(b"{}"))) + then)
            second = connection.read_answer()
            assert second is not None
            seen.append((second.status, second.header("connection"), connection.rest()))
    assert seen[0] == seen[1]
    assert sum(reads) > 0
