"""An ASGI app without a server, where a test decides how the body is cut into messages.

A socket cannot do that: the kernel and uvicorn join what came meanwhile. The app runs on an event loop of its
own thread, its lifespan around it, and is called from the test's thread.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.harness.raw import Answer, Headers

CALL_LIMIT = 30.0

T = TypeVar("T")


def cuts(body: bytes, size: int) -> list[bytes]:
    """A body in pieces of `size` bytes, with an empty one before each."""
    return [piece for at in range(0, len(body), size) for piece in (b"", body[at : at + size])] or [b""]


class AppThread:
    """An app whose lifespan has begun, on the event loop of a thread."""

    def __init__(self, app: ASGIApp, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(CALL_LIMIT)
        finally:
            future.cancel()

    def post(self, headers: Headers, pieces: Iterable[bytes], path: str = "/") -> Answer:
        """POST a body in the given pieces, each a message of its own."""
        return self._do(self._post(headers, list(pieces), path))

    async def _post(self, headers: Headers, pieces: list[bytes], path: str) -> Answer:
        sent: list[Message] = []
        answered = asyncio.Event()
        messages = iter(_messages(pieces))

        async def receive() -> Message:
            for message in messages:
                return message
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered.set()

        await self._app(_scope(headers, path), receive, send)
        return _answer(sent)


def _messages(pieces: list[bytes]) -> Iterator[Message]:
    last = len(pieces) - 1
    for i, piece in enumerate(pieces):
        yield {"type": "http.request", "body": piece, "more_body": i < last}


def _scope(headers: Headers, path: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        # As every HTTP server hands them on: names in lower case, no blanks around values.
        "headers": [(name.lower(), value.strip(b" \t")) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }


def _answer(sent: list[Message]) -> Answer:
    assert sent, "the app answered nothing"
    start, *rest = sent
    assert start["type"] == "http.response.start"
    assert {message["type"] for message in rest} == {"http.response.body"}
    ends = [not message.get("more_body", False) for message in rest]
    assert not any(ends[:-1]), "the app went on after the end of its answer"
    headers = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start["headers"]
    )
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest), ends[-1])


@contextmanager
def app_thread(app: ASGIApp) -> Iterator[AppThread]:
    """Run the lifespan of an app on the event loop of a thread until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test-app", daemon=True)
    thread.start()
    running = AppThread(app, loop)
    try:
        lifespan = running._do(_started(app))
        try:
            yield running
        finally:
            running._do(lifespan())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CALL_LIMIT)
        loop.close()


async def _started(app: ASGIApp) -> Callable[[], Coroutine[Any, Any, None]]:
    """Start the lifespan; returns what ends it."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    receive: Receive = to_app.get
    send: Send = from_app.put
    task = asyncio.create_task(_whole(app(scope, receive, send)))

    async def step(kind: str) -> None:
        await to_app.put({"type": f"lifespan.{kind}"})
        async with asyncio.timeout(CALL_LIMIT):
            message = await from_app.get()
        assert message["type"] == f"lifespan.{kind}.complete", message

    async def end() -> None:
        await step("shutdown")
        async with asyncio.timeout(CALL_LIMIT):
            await task

    await step("startup")
    return end


async def _whole(work: Awaitable[None]) -> None:
    await work
