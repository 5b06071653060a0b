"""Bodies: what comes as ASGI messages, and what was there already."""

from typing import Any

import pytest

from inference_gateway.errors import ClientDisconnected
from inference_gateway.intake.body import AsgiBody, Body, WholeBody


def receiving(*messages: dict[str, Any]) -> Any:
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    return receive


def some(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def read_all(body: Body, size: int) -> bytes:
    got = b""
    buffer = bytearray(size)
    while count := await body.readinto(memoryview(buffer)):
        got += buffer[:count]
    return got


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_messages_of_any_size_fill_buffers_of_any_size(size: int) -> None:
    body = AsgiBody(receiving(some(b"abcd"), some(b""), some(b"efghijk"), some(b"l", more=False)))
    assert not body.complete
    assert await read_all(body, size) == b"abcdefghijkl"
    assert body.complete
    assert await body.readinto(memoryview(bytearray(1))) == 0


async def test_messages_may_leave_out_what_they_may() -> None:
    body = AsgiBody(receiving({"type": "http.request", "more_body": True}, {"type": "http.request"}))
    assert await read_all(body, 10) == b""
    assert body.complete


async def test_a_client_that_leaves() -> None:
    body = AsgiBody(receiving(some(b"ab"), {"type": "http.disconnect"}))
    assert await body.readinto(memoryview(bytearray(10))) == 2
    with pytest.raises(ClientDisconnected):
        await body.readinto(memoryview(bytearray(10)))
    assert not body.complete


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_a_body_that_was_there_already(size: int) -> None:
    body = WholeBody(bytearray(b"abcdefghijkl"))
    assert body.complete
    assert await read_all(body, size) == b"abcdefghijkl"
