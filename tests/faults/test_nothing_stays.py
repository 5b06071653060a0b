"""Nothing of a request outlives it, however it ended: no memory, no descriptor, without the collector.

What is made for a request is known by weak references; Python's collector is off, so a cycle of references,
such as an exception's traceback makes, would keep it.
"""

import asyncio
import gc
import io
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from inference_gateway import Gateway, Settings, current_request
from inference_gateway.answer.client_watch import ClientWatch
from inference_gateway.answer.stream import ResponseStream
from inference_gateway.execution.slot import Slot
from inference_gateway.intake.assembler import RequestAssembler
from inference_gateway.payload.part import Part
from inference_gateway.payload.spool import Spool
from inference_gateway.serving.server import make_server
from inference_gateway.telemetry.record import Record
from tests.conftest import Serve
from tests.harness.raw import Address, Connection, exchange, head, request
from tests.harness.server import RunningServer, left_in
from tests.harness.waiting import until
from tests.harness.wire import message, part

pytestmark = pytest.mark.slow

LIMIT = 20.0
MESSAGE = 1 << 20
TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
SIZES = {"in memory": 1000, "in a file": 2 * MESSAGE}
MADE = (Spool, RequestAssembler, Part, Slot, Record, ClientWatch, ResponseStream)
"""Of what each request has its own."""

Model = Callable[[Any, Sequence[Any], str], Any]
HEATMAP = {"parts": [{"binary_type": "heatmap"}]}


class Kept(list[weakref.ref[Any]]):
    """Weak references to what was made for requests."""

    def note(self, made: Any) -> Any:
        self.append(weakref.ref(made))
        return made

    @property
    def alive(self) -> list[Any]:
        return [found for found in (each() for each in self) if found is not None]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """What is made for requests, while the collector is off and no handler keeps a traceback."""
    noted = Kept()

    def noting(init: Callable[..., None]) -> Callable[..., None]:
        def noted_init(self: Any, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            noted.note(self)

        return noted_init

    for kind in MADE:
        monkeypatch.setattr(kind, "__init__", noting(kind.__init__))
    # pytest's handlers keep what they are given; others write it and let it go.
    monkeypatch.setattr(logging.Logger, "callHandlers", lambda _, record: logging.Formatter().format(record))
    gc.disable()
    yield noted
    gc.enable()


@pytest.fixture(params=list(SIZES))
def post(request: pytest.FixtureRequest) -> bytes:
    return posting(SIZES[request.param])


def posting(size: int) -> bytes:
    return request(TYPE, message(part(b"{}"), part(bytes(size))))


@contextmanager
def sent(running: RunningServer, data: bytes) -> Iterator[Connection]:
    with Connection(running.address) as connection:
        connection.send(data)
        yield connection


def check_nothing_stays(kept: Kept, running: RunningServer, spool_dir: Path, least: int = 1) -> None:
    """Once the request is over and its thread is back; each look is a round trip."""
    running.watched.wait_idle()
    assert len(kept) >= least, "nothing was made for the request"

    def gone() -> bool:
        ping(running.address)  # the event loop's last step holds what it was woken by
        return not kept.alive and not left_in(spool_dir)

    try:
        until(gone)
    finally:
        assert {type(each).__name__ for each in kept.alive} == set()
        assert left_in(spool_dir) == []


def ping(address: Address) -> None:
    assert exchange(address, head(((b"Connection", b"close"),), method=b"GET", target=b"/ping")) is not None


class Models:
    """Models whose results are noted."""

    def __init__(self, kept: Kept, tmp_path: Path) -> None:
        self._kept = kept
        self._file = tmp_path / "result"
        self._file.write_bytes(bytes(300_000))
        self.begun = threading.Event()
        self.go = threading.Event()

    def array(self, size: int = 1000) -> Any:
        return self._kept.note(np.zeros(size, np.uint8))

    def whole(self, *_: Any) -> Any:
        return HEATMAP, [self.array()]

    def large(self, *_: Any) -> Any:
        return HEATMAP, [self.array(64 * MESSAGE)]

    def large_file(self, *_: Any) -> Any:
        with self._file.open("r+b") as file:
            file.truncate(64 * MESSAGE)
        return HEATMAP, [self._kept.note(self._file.open("rb", buffering=0))]

    def endless(self, *_: Any) -> Any:
        mask = self.array(MESSAGE)

        def blocks() -> Iterator[bytes]:
            while True:
                yield mask.tobytes()

        return HEATMAP, [self._kept.note(blocks())]

    def failing_generator(self, *_: Any) -> Any:
        mask = self.array()

        def blocks() -> Iterator[bytes]:
            yield mask.tobytes()
            raise ValueError("no further")

        return HEATMAP, [self._kept.note(blocks())]

    def failing_file(self, *_: Any) -> Any:
        class Broken(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell():
                    raise OSError("the disk is gone")
                return super().read(min(size or 0, 100_000))

        return HEATMAP, [self._kept.note(Broken(bytes(300_000)))]

    def wrong(self, *_: Any) -> Any:
        return HEATMAP, [self.array(), self.array()]

    def raising(self, _: Any, inputs: Sequence[Any], __: str) -> Any:
        mask = self.array()
        raise ValueError(f"{mask.nbytes} and {inputs[0].size} bytes")

    def raising_what_it_keeps(self, _: Any, inputs: Sequence[Any], __: str) -> Any:
        """The frame holds the exception, and by it itself."""
        mask = self.array()
        last = None
        try:
            raise ValueError(f"{mask.nbytes}")
        except ValueError as error:
            last = error
        raise RuntimeError("twice") from last

    def stopping(self, *_: Any) -> Any:
        mask = self.array()
        raise StopIteration(mask.nbytes)

    async def async_raising(self, *_: Any) -> Any:
        mask = self.array()
        await asyncio.sleep(0)
        raise ValueError(f"{mask.nbytes}")

    async def async_whole(self, *_: Any) -> Any:
        await asyncio.sleep(0)
        return self.whole()

    def held(self, *_: Any) -> Any:
        mask = self.array()
        self.begun.set()
        assert self.go.wait(LIMIT)
        return HEATMAP, [mask]

    def held_then_raising(self, *_: Any) -> Any:
        mask = self.array()
        self.begun.set()
        assert self.go.wait(LIMIT)
        raise ValueError(f"{mask.nbytes}")

    async def async_held(self, *_: Any) -> Any:
        mask = self.array()
        self.begun.set()
        await asyncio.Event().wait()
        return HEATMAP, [mask]


@pytest.fixture
def models(kept: Kept, tmp_path: Path) -> Iterator[Models]:
    made = Models(kept, tmp_path)
    yield made
    made.go.set()


@pytest.fixture
def start(serve: Serve, spool_dir: Path) -> Callable[..., RunningServer]:
    def start(
        model: Model, middleware: Sequence[Middleware] = (), hardened: bool = True, **settings: Any
    ) -> RunningServer:
        app = Gateway(settings=Settings(spool_dir=spool_dir, **settings), middleware=middleware)
        app.add_inference_route("/", model)
        return serve(app, make_server(app, port=0) if hardened else None)

    return start


Start = Callable[..., RunningServer]


@pytest.mark.parametrize("name", ["whole", "async_whole"])
def test_a_whole_answer(
    name: str, models: Models, kept: Kept, post: bytes, start: Start, spool_dir: Path
) -> None:
    running = start(getattr(models, name))
    answer = exchange(running.address, post)
    assert answer is not None
    assert answer.whole
    check_nothing_stays(kept, running, spool_dir)


@pytest.mark.parametrize("hardened", [True, False], ids=["hardened", "uvicorn"])
@pytest.mark.parametrize(
    "name",
    [
        "failing_generator",
        "failing_file",
        "wrong",
        "raising",
        "raising_what_it_keeps",
        "stopping",
        "async_raising",
    ],
)
def test_a_model_or_an_element_that_fails(
    name: str, hardened: bool, models: Models, kept: Kept, post: bytes, start: Start, spool_dir: Path
) -> None:
    running = start(getattr(models, name), hardened=hardened)
    answer = exchange(running.address, post)
    assert answer is not None
    assert answer.status == 500 or not answer.whole
    check_nothing_stays(kept, running, spool_dir)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # the model leaves that to us
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("name", ["large", "large_file", "endless"])
def test_a_client_that_leaves_the_answer(
    name: str, how: str, models: Models, kept: Kept, post: bytes, start: Start, spool_dir: Path
) -> None:
    running = start(getattr(models, name))
    with sent(running, post) as connection:
        connection.read_until(MESSAGE)
        getattr(connection, how)()
    check_nothing_stays(kept, running, spool_dir)


def test_a_client_that_takes_nothing_of_the_answer(
    models: Models, kept: Kept, post: bytes, start: Start, spool_dir: Path
) -> None:
    running = start(models.large, send_timeout=0.3)
    with sent(running, post):
        running.watched.wait_until(1)
        check_nothing_stays(kept, running, spool_dir)


@pytest.mark.parametrize("name", ["held", "held_then_raising", "async_held"])
def test_a_client_that_leaves_the_model(
    name: str, models: Models, kept: Kept, post: bytes, start: Start, spool_dir: Path
) -> None:
    running = start(getattr(models, name))
    with sent(running, post):
        assert models.begun.wait(LIMIT)
    running.watched.wait_idle()
    models.go.set()
    check_nothing_stays(kept, running, spool_dir)


@pytest.mark.parametrize("name", ["held", "held_then_raising", "async_held"])
def test_a_deadline(
    name: str, models: Models, kept: Kept, post: bytes, start: Start, spool_dir: Path
) -> None:
    running = start(getattr(models, name), model_timeout=0.2)
    answer = exchange(running.address, post)
    assert answer is not None
    assert answer.status == 504
    models.go.set()
    check_nothing_stays(kept, running, spool_dir)


def test_waiting_too_long_for_a_turn(models: Models, kept: Kept, start: Start, spool_dir: Path) -> None:
    running = start(models.held, queue_timeout=0.2)
    with sent(running, posting(1000)) as first:
        assert models.begun.wait(LIMIT)
        answer = exchange(running.address, posting(2 * MESSAGE))
        assert answer is not None
        assert answer.status == 503

        def only_the_first_is_left() -> bool:
            ping(running.address)
            of_requests = sum(isinstance(each, Spool | Slot) for each in kept.alive)
            return not left_in(spool_dir) and of_requests == 2

        until(only_the_first_is_left, "an empty folder beside the first's spool and slot")
        models.go.set()
        assert first.read_answer() is not None
    check_nothing_stays(kept, running, spool_dir)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (message(part(b"no JSON"), part(bytes(1000))), 400),
        (message(part(b"{}"), part(bytes(2 * MESSAGE)))[:-5], 400),
        (message(part(b"{}"), *[part(b"")] * 20), 413),
        (message(part(b"{}"), part(bytes(6 * MESSAGE))), 413),
        (b"no boundary", 400),
    ],
    ids=["JSON", "truncated", "parts", "too large", "boundary"],
)
@pytest.mark.parametrize("chunk", [0, 70_000], ids=["declared", "chunked"])
def test_a_refused_body(
    body: bytes, status: int, chunk: int, models: Models, kept: Kept, start: Start, spool_dir: Path
) -> None:
    running = start(models.whole, max_parts=10, max_body_bytes=5 * MESSAGE)
    answer = exchange(running.address, request(TYPE, body, chunk=chunk))
    assert answer is not None
    assert answer.status == status
    check_nothing_stays(kept, running, spool_dir)


@pytest.mark.parametrize("size", [1000, 2 * MESSAGE])
@pytest.mark.parametrize("leaves", [True, False], ids=["client leaves", "client stalls"])
def test_an_upload_that_does_not_end(
    size: int, leaves: bool, models: Models, kept: Kept, start: Start, spool_dir: Path
) -> None:
    running = start(models.whole, idle_timeout=LIMIT if leaves else 0.2)
    with sent(running, posting(size)[:-20]) as connection:
        running.watched.wait_until(1)
        if not leaves:
            answer = connection.read_answer()
            assert answer is not None
            assert answer.status == 408
    check_nothing_stays(kept, running, spool_dir)


class TimeLimit:
    """A middleware that cancels what takes too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/ping":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(0.3):
                await self._app(scope, receive, send)
        except TimeoutError:
            await send({"type": "http.response.start", "status": 599, "headers": []})
            await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("name", ["held", "held_then_raising", "async_held"])
def test_a_request_that_is_cancelled(
    name: str, models: Models, kept: Kept, post: bytes, start: Start, spool_dir: Path
) -> None:
    running = start(getattr(models, name), [Middleware(TimeLimit)])
    with sent(running, post) as connection:
        answer = connection.read_answer()
        assert answer is not None
        assert answer.status == 599
    models.go.set()
    check_nothing_stays(kept, running, spool_dir)


def test_a_generator_that_its_turn_is_left_with(
    models: Models, kept: Kept, start: Start, spool_dir: Path
) -> None:
    """The client leaves while a block is made."""

    def model(*_: Any) -> Any:
        def blocks() -> Iterator[bytes]:
            mask = models.array()
            yield b"first"
            assert not current_request().cancelled
            models.begun.set()
            assert models.go.wait(LIMIT)
            yield mask.tobytes()

        return HEATMAP, [kept.note(blocks())]

    running = start(model)
    with sent(running, posting(1000)):
        assert models.begun.wait(LIMIT)
    running.watched.wait_idle()
    models.go.set()
    check_nothing_stays(kept, running, spool_dir)
