"""Problem answers: what they say, and that a client which is still sending sees them."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Message, Receive

from inference_gateway.answer import problem
from inference_gateway.answer.problem import Problem
from inference_gateway.errors import LimitExceeded, ModelError, Unavailable
from inference_gateway.intake.body import AsgiBody

CHUNKED = (b"transfer-encoding", b"chunked")


class Sent:
    """What an answer sends, and between what the body is received."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def ended(self) -> bool:
        return self.messages[-1]["type"] == "http.response.body" and not self.messages[-1]["more_body"]


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "headers": list(headers)}


def body_message(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


class Client:
    """Sends these messages, then nothing more; counts how many were taken."""

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self.taken = 0
        self._messages = iter(messages)

    async def receive(self) -> Message:
        for message in self._messages:
            self.taken += 1
            return message
        await asyncio.Event().wait()
        raise AssertionError


async def receive_nothing() -> Message:
    raise AssertionError("the body was touched")


@pytest.mark.wire("errors: problem+json")
async def test_what_it_says() -> None:
    sent = Sent()
    await Problem(413, "the body is too large", "id-1")(scope(), receive_nothing, sent.send)
    start, body = sent.messages
    assert start["type"] == "http.response.start"
    assert start["status"] == 413
    assert start["headers"] == [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body["body"])).encode()),
        (b"x-request-id", b"id-1"),
    ]
    assert sent.ended
    document = json.loads(body["body"])
    assert document.pop("title")
    assert document == {
        "type": "about:blank",
        "status": 413,
        "detail": "the body is too large",
        "request_id": "id-1",
    }


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({}, None),
        ({"allow": "POST"}, (b"allow", b"POST")),
        ({"retry_after": 2}, (b"retry-after", b"2")),
        ({"retry_after": 0.2}, (b"retry-after", b"1")),
        ({"retry_after": 2.5}, (b"retry-after", b"3")),
        ({"timing": b"total;dur=0.1"}, (b"server-timing", b"total;dur=0.1")),
    ],
)
async def test_headers(options: dict[str, Any], header: tuple[bytes, bytes] | None) -> None:
    sent = Sent()
    await Problem(503, "later", "id", **options)(scope(), receive_nothing, sent.send)
    assert set(sent.headers.items()) - {header} == {
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(sent.body)).encode()),
        (b"x-request-id", b"id"),
    }
    assert header is None or header in sent.headers.items()


async def test_of_an_error() -> None:
    sent = Sent()
    await Problem.of(Unavailable("busy", retry_after=9), "id-2")(scope(), receive_nothing, sent.send)
    assert sent.messages[0]["status"] == 503
    assert sent.headers[b"retry-after"] == b"9"
    assert json.loads(sent.body)["detail"] == "busy"
    assert b"retry-after" not in dict(Problem.of(LimitExceeded(), "id")._headers)


async def test_a_traceback_only_where_there_is_one() -> None:
    for traceback in ("Traceback:\n  here", None):
        sent = Sent()
        problem = Problem.of(ModelError(), "id-3", traceback=traceback)
        await problem(scope(), receive_nothing, sent.send)
        document = json.loads(sent.body)
        assert document.get("traceback") == traceback
        assert ("traceback" in document) is (traceback is not None)


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"0"),), ((b"content-type", b"text/plain"),)])
async def test_a_request_without_a_body_is_answered_and_the_connection_kept(
    headers: tuple[tuple[bytes, bytes], ...],
) -> None:
    sent = Sent()
    await Problem(404, "no such route", "id")(scope(*headers), receive_nothing, sent.send)
    assert b"connection" not in sent.headers
    assert sent.ended


@pytest.mark.wire("aftermath: early answer seen while still sending")
@pytest.mark.parametrize("header", [CHUNKED, (b"content-length", b"30")])
async def test_the_whole_answer_goes_out_before_the_body_is_thrown_away(header: tuple[bytes, bytes]) -> None:
    sent = Sent()
    client = Client([body_message(b"x" * 10), body_message(b""), body_message(b"x" * 20, more=False)])

    async def receive() -> Message:
        assert len(sent.body) == int(sent.headers[b"content-length"])
        assert not sent.ended
        return await client.receive()

    await Problem(400, "malformed", "id")(scope(header), receive, sent.send)
    assert client.taken == 3
    assert sent.headers[b"connection"] == b"close"
    assert sent.ended
    assert json.loads(sent.body)["detail"] == "malformed"


async def ends(receive: Receive) -> Sent:
    """Answers a request that has a body; fails where that takes longer than any bound here."""
    sent = Sent()
    async with asyncio.timeout(5):
        await Problem(400, "malformed", "id")(scope(CHUNKED), receive, sent.send)
    assert sent.ended
    return sent


async def test_it_ends_when_the_client_leaves() -> None:
    client = Client([body_message(b"x"), {"type": "http.disconnect"}])
    await ends(client.receive)
    assert client.taken == 2


@pytest.mark.wire("aftermath: draining is bounded")
async def test_it_ends_when_too_much_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem, "DRAIN_BYTES", 1000)
    client = Client(body_message(b"x" * 100) for _ in range(1000))
    await ends(client.receive)
    assert client.taken == 10


async def test_it_ends_when_the_client_goes_on_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem, "DRAIN_SECONDS", 0.01)
    client = Client([body_message(b"x")])
    await ends(client.receive)
    assert client.taken == 1


def test_the_bounds_of_the_contract() -> None:
    assert problem.DRAIN_SECONDS == 10
    assert problem.DRAIN_BYTES == 256 << 20


async def test_a_body_that_is_complete_is_not_drained() -> None:
    client, sent = Client([body_message(b"x", more=False)]), Sent()
    body = AsgiBody(client.receive)
    assert await body.readinto(memoryview(bytearray(10))) == 1
    await Problem(400, "malformed", "id").send(sent.send, body, scope(CHUNKED))
    assert b"connection" not in sent.headers
    assert sent.ended
    assert client.taken == 1


async def test_a_body_that_is_half_read_is_drained() -> None:
    client = Client([body_message(b"x"), body_message(b"y"), body_message(b"z", more=False)])
    sent, body = Sent(), AsgiBody(client.receive)
    await body.readinto(memoryview(bytearray(10)))
    await Problem(400, "malformed", "id").send(sent.send, body, scope(CHUNKED))
    assert sent.headers[b"connection"] == b"close"
    assert body.complete
    assert sent.ended


async def test_the_body_is_read_first_where_it_is_wished() -> None:
    """A proxy that is still sending would lose the answer."""
    sent = Sent()
    client = Client([body_message(b"x"), body_message(b"y"), body_message(b"z", more=False)])

    async def receive() -> Message:
        assert sent.messages == []
        return await client.receive()

    await Problem(413, "too large", "id", after_body=True)(scope(CHUNKED), receive, sent.send)
    assert client.taken == 3
    assert b"connection" not in sent.headers  # the body has come whole: the connection serves on
    assert sent.ended


async def test_reading_first_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem, "DRAIN_BYTES", 1000)
    sent = Sent()
    answered_after: list[int] = []
    client = Client(body_message(b"x" * 100) for _ in range(1000))

    async def send(message: Message) -> None:
        answered_after.append(client.taken)
        await sent.send(message)

    await Problem(413, "too large", "id", after_body=True)(scope(CHUNKED), client.receive, send)
    assert answered_after[0] == 10
    assert client.taken == 20  # and then as ever
    assert sent.headers[b"connection"] == b"close"
    assert sent.ended


async def test_reading_first_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problem, "DRAIN_SECONDS", 0.01)
    sent, client = Sent(), Client([body_message(b"x")])
    async with asyncio.timeout(5):
        await Problem(413, "too large", "id", after_body=True)(scope(CHUNKED), client.receive, sent.send)
    assert sent.ended


async def test_a_client_that_waits_for_a_100_is_refused_without_it() -> None:
    """It has sent nothing that a proxy could stumble over, and shall not be asked for it."""
    sent = Sent()
    client = Client([body_message(b"x", more=False)])

    async def receive() -> Message:
        assert sent.body
        return await client.receive()

    expects = scope(CHUNKED, (b"expect", b"100-Continue"))
    await Problem(415, "no", "id", after_body=True)(expects, receive, sent.send)
    assert sent.ended


async def test_a_client_that_has_been_sent_its_100_is_heard_to_the_end() -> None:
    sent = Sent()
    client = Client([body_message(b"x"), body_message(b"y", more=False)])
    body = AsgiBody(client.receive)
    await body.readinto(memoryview(bytearray(10)))
    expects = scope(CHUNKED, (b"expect", b"100-continue"))
    await Problem(400, "no", "id", after_body=True).send(sent.send, body, expects)
    assert client.taken == 2
    assert b"connection" not in sent.headers
