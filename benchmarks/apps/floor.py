"""The floor: what the same uvicorn does with an application that throws the body away and parses nothing."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from counting import ANSWER_BYTES, ARRAY, STEP, answer_pieces  # with numpy, as every other server

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await answer_lifespan(receive, send)
        return
    if scope["path"] == "/ping":
        await send_whole(send, b"up")
        return
    received, wanted, more = 0, b"", True
    while more:
        message = await receive()
        body = message.get("body", b"")
        if not received:
            wanted = body[:1024]
        received += len(body)
        more = message.get("more_body", False)
    if b'"answer": "array"' in wanted:
        await send_array(send)
    elif b'"answer": "iterable"' in wanted:
        await send_pieces(send)
    else:
        await send_whole(send, json.dumps({"received": received}).encode())


async def answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def send_whole(send: Send, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_array(send: Send) -> None:
    headers = [(b"content-length", str(ANSWER_BYTES).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    view = memoryview(ARRAY)
    for start in range(0, ANSWER_BYTES, STEP):
        await send({"type": "http.response.body", "body": view[start : start + STEP], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def send_pieces(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in answer_pieces():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
