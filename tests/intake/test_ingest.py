"""Bodies on their way in: windows, back-pressure, time limits, and what is left when it goes wrong."""

import asyncio
import gc
import os
import random
import resource
import select
import socket
import threading
import tracemalloc
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_gateway import Gateway, Settings
from inference_gateway.app import endpoint
from inference_gateway.errors import BadRequest, ClientDisconnected, LimitExceeded, RequestError
from inference_gateway.intake import uvicorn_body
from inference_gateway.intake.assembler import InferenceRequest, RequestAssembler
from inference_gateway.intake.body import AsgiBody
from inference_gateway.intake.header import RequestType
from inference_gateway.intake.ingest import INLINE, Ingest
from inference_gateway.intake.workers import BLOCK, WINDOW, Workers
from inference_gateway.payload.spool import Spool
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.harness.asgi import app_thread, cuts
from tests.harness.log import LogCapture
from tests.harness.model import RecordingModel, reply_json
from tests.harness.raw import RECEIVE_SIZE, Address, Answer, Connection, chunked, exchange, head, request
from tests.harness.server import RunningServer, left_in
from tests.harness.wire import check_problem, check_reply, digest, message, part

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
CHUNKED = ((b"Transfer-Encoding", b"chunked"),)
ROOT = b'{"k": 1}'
MESSAGE = 1 << 20
KERNEL_BYTES = 32 << 20
"""More than the socket buffers of both ends hold."""
LIMIT = 20.0

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")


def body_of(size: int) -> bytes:
    """A message with one input of `size` bytes."""
    return message(part(ROOT), part(random.Random(size).randbytes(size)))


class Upload:
    """An `Ingest` of its own, fed with pieces and nothing in between. `declared`: Content-Length, or 0."""

    def __init__(self, spool_dir: Path, workers: Workers, declared: int = 0, **settings: Any) -> None:
        options = Settings(spool_dir=spool_dir, **settings)
        self.spool = Spool(spool_dir, options.spool_memory_bytes, free=workers.give_back)
        assembler = RequestAssembler(RequestType(b"bnd", "utf-8", None), self.spool, options)
        self.ingest = Ingest(assembler, options, workers, declared)
        self.given = 0
        self._declared = declared
        self._workers = workers

    async def run(self, pieces: Iterable[bytes | None], then: Message | None = None) -> InferenceRequest:
        """Feed the pieces; after them the end of the body comes, or another message.

        At None the workers catch up first.
        """
        left = iter(pieces)

        async def receive() -> Message:
            for piece in left:
                if piece is not None:
                    self.given += len(piece)
                    more = self.given != self._declared
                    return {"type": "http.request", "body": piece, "more_body": more}
                await turns()
                await asyncio.to_thread(catch_up, self._workers)
                await turns()
            return then or {"type": "http.request", "body": b"", "more_body": False}

        return await self.ingest.run(AsgiBody(receive))


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    made.executor = ThreadPoolExecutor(1)
    with made.executor:
        yield made


@contextmanager
def held_up(workers: Workers) -> Iterator[None]:
    """The only worker is busy with something else."""
    go = threading.Event()
    busy = threading.Event()

    def wait() -> None:
        busy.set()
        assert go.wait(LIMIT)

    workers.executor.submit(wait)
    assert busy.wait(LIMIT)
    try:
        yield
    finally:
        go.set()


def catch_up(workers: Workers) -> None:
    """Wait until the workers have done all they were given."""
    threads = workers.executor._max_workers
    together = threading.Barrier(threads, timeout=LIMIT)
    for meeting in [workers.executor.submit(together.wait) for _ in range(threads)]:
        meeting.result(LIMIT)


async def turns(count: int = 200) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def pieces_of(body: bytes, size: int = MESSAGE) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def model_of(spool_dir: Path, **settings: Any) -> tuple[Gateway, RecordingModel]:
    """Its bodies go to a file from 1 MiB on."""
    model = RecordingModel()
    app = Gateway(settings=Settings(spool_dir=spool_dir, **{"spool_memory_bytes": MESSAGE, **settings}))
    app.add_inference_route("/", model)
    return app, model


@pytest.fixture(params=["uvicorn", "hardened"])
def serve(request: pytest.FixtureRequest, serve: Serve) -> Serve:
    """Runs an app in each of the two servers."""

    def start(app: ASGIApp, server: uvicorn.Server | None = None) -> RunningServer:
        return serve(app, make_server(app, port=0) if request.param == "hardened" else server)

    return start


def check_served(address: Address, body: bytes = body_of(100)) -> None:
    """The gateway takes a request now."""
    answer = exchange(address, request(TYPE, body))
    inner = body.split(b"\r\n--bnd")[1].partition(b"\r\n\r\n")[2]
    check_reply(answer, reply_json(1), [("application/binary", inner)], digest(ROOT, inner))


def check_nothing_left(running: RunningServer, spool_dir: Path, app: Gateway) -> None:
    """Once every request has ended, and what workers were still at for a client that is gone."""
    running.watched.wait_idle()
    catch_up(app._shared.workers)
    assert left_in(spool_dir) == []
    metrics = exchange(running.address, head((), method=b"GET", target=b"/metrics"))
    assert metrics is not None
    assert b"gateway_uploads 0.0" in metrics.body
    assert b"gateway_spool_bytes 0.0" in metrics.body
    assert b'gateway_queued{route="/"} 0.0' in metrics.body


# Windows


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [100, 127_000, 129_000, BLOCK, 700_000, INLINE - 200])
@pytest.mark.slow
def test_a_small_body_needs_neither_a_worker_nor_a_file(
    size: int, framing: str, spool_dir: Path, serve: Serve
) -> None:
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", lambda _, inputs, __: {"size": inputs[0].size})
    app._shared.workers.executor.shutdown()  # whoever asks it for anything gets a RuntimeError
    running = serve(app)
    body = body_of(size)
    inner = body.split(b"\r\n--bnd")[1].partition(b"\r\n\r\n")[2]
    headers = CHUNKED if framing == "chunked" else ((b"Content-Length", b"%d" % len(body)),)
    sent = b"".join(chunked(body, 50_000)) if framing == "chunked" else body
    answer = exchange(running.address, head(TYPE + headers), sent)
    check_reply(answer, {"size": size}, [], digest(ROOT, inner))


@pytest.mark.parametrize("declared", [0, 1000])
async def test_a_small_body_that_stops_is_malformed_first(
    declared: int, spool_dir: Path, workers: Workers
) -> None:
    for sent, status in ((b"--bnd\r\nno colon\r\n", 400), (b"--bnd\r\n", 408)):
        upload = Upload(spool_dir, workers, declared, idle_timeout=0.05)
        messages = iter([sent])

        async def receive(messages: Iterator[bytes] = messages) -> Message:
            for piece in messages:
                return {"type": "http.request", "body": piece, "more_body": True}
            await asyncio.Event().wait()  # nothing more comes
            raise AssertionError

        with pytest.raises(RequestError) as refusal:
            await upload.ingest.run(AsgiBody(receive))
        assert refusal.value.status == status
        upload.spool.release()


class Taking(Workers):
    """Notes the sizes of the windows that are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[int] = []

    def take(self, size: int) -> bytearray:
        window = super().take(size)
        self.taken.append(len(window))
        return window


MEMORY = 8 << 20


@pytest.mark.parametrize(
    ("size", "windows"),
    [
        (1000, [1000]),
        (130_000, [130_000]),
        (BLOCK, [BLOCK]),
        (BLOCK + 1, [BLOCK, 1]),
        (INLINE + 5, [BLOCK] * (INLINE // BLOCK) + [5]),
        (MEMORY, [BLOCK] * (MEMORY // BLOCK)),
        (MEMORY + 7, [WINDOW, WINDOW, 7]),
        (MEMORY + (3 << 20) + 7, [WINDOW, WINDOW, WINDOW]),
    ],
)
async def test_windows_fit_what_was_declared(size: int, windows: list[int], spool_dir: Path) -> None:
    workers = Taking()
    frame = len(body_of(0))
    upload = Upload(spool_dir, workers, size, spool_memory_bytes=MEMORY)
    body = body_of(size - frame)
    assert len(body) == size
    got = await upload.run(pieces_of(body, 100_000))
    assert got.inputs[0].getvalue() in body
    assert workers.taken == windows
    assert upload.spool.in_memory == (size <= MEMORY)
    await asyncio.to_thread(upload.spool.release)
    workers.executor.shutdown()


@pytest.mark.parametrize(
    ("size", "windows"),
    [
        (1000, [65_536]),
        (130_000, [65_536, 65_536]),
        (300_000, [65_536, 65_536, 131_072, BLOCK]),
        (MEMORY - 1, [65_536, 65_536, 131_072, *[BLOCK] * (MEMORY // BLOCK - 1)]),
    ],
)
async def test_windows_grow_where_nothing_was_declared(
    size: int, windows: list[int], spool_dir: Path
) -> None:
    workers = Taking()
    upload = Upload(spool_dir, workers, spool_memory_bytes=MEMORY)
    body = body_of(size - len(body_of(0)))
    got = await upload.run(pieces_of(body, 100_000))
    assert got.inputs[0].getvalue() in body
    assert got.input_hash == digest(ROOT, got.inputs[0].getvalue())
    assert workers.taken == windows
    assert upload.spool.in_memory
    upload.spool.release()
    workers.executor.shutdown()


SECTION = random.Random(1).randbytes(BLOCK)


async def peak_of(uploads: Iterable[tuple[int, bool]], spool_dir: Path, workers: Workers) -> int:
    """Most bytes that Python had at once for these uploads: of so many sections each, declared or not."""
    begin, end = message(part(ROOT), part(b"")).split(b"--bnd--")[0], b"--bnd--\r\n"

    async def one(sections: int, is_declared: bool) -> None:
        size = len(begin) - 2 + sections * len(SECTION) + 2 + len(end)
        upload = Upload(spool_dir, workers, size if is_declared else 0, spool_memory_bytes=MEMORY)
        if is_declared:
            await asyncio.to_thread(upload.spool.reserve, size)
        await upload.run(chain([begin[:-2]], repeat(SECTION, sections), [b"\r\n" + end]))
        await asyncio.to_thread(upload.spool.release)

    tracemalloc.start()
    try:
        await asyncio.gather(*(one(*upload) for upload in uploads))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("uploads", "most"),
    [
        ([(32, True)], 8),  # all of it in memory
        ([(33, True)], 8),
        ([(40, True)], 8),
        ([(111, True)], 8),
        ([(255, True)], 8),
        ([(255, False)], 12),  # the spool's memory, until it is known that it will not do
        ([(111, True)] * 8, 64),
    ],
)
@pytest.mark.slow
async def test_memory_does_not_grow_with_the_body(
    uploads: list[tuple[int, bool]], most: int, spool_dir: Path
) -> None:
    """`most` in MiB: two windows for each upload that is declared, one after the other or at once."""
    workers = Workers()
    room = (most << 20) + (1 << 20)  # and a little for everything else
    assert await peak_of(uploads, spool_dir, workers) < room
    assert await peak_of(uploads, spool_dir, workers) < room
    workers.executor.shutdown()


async def test_memory_of_one_size_makes_room_for_the_other(spool_dir: Path, workers: Workers) -> None:
    """Blocks that are still spare when a body for a file comes, and windows when one for memory comes."""
    tracemalloc.start()
    try:
        for size, count in ((BLOCK, 32), (WINDOW, 2), (BLOCK, 32), (WINDOW, 2)):
            taken = [workers.take(size) for _ in range(count)]
            while taken:
                workers.give_back(taken.pop())
        assert tracemalloc.get_traced_memory()[1] < 9 << 20
    finally:
        tracemalloc.stop()


async def test_a_body_is_copied_nowhere_on_its_way_into_memory(spool_dir: Path, workers: Workers) -> None:
    """The memory that it was received into is the spool's, and afterwards the next upload's."""
    upload = Upload(spool_dir, workers, 2 * BLOCK)
    body = body_of(2 * BLOCK - len(body_of(0)))
    windows = [workers.take(BLOCK) for _ in range(2)]
    for window in windows:
        workers.give_back(window)
    assert len(body) == 2 * BLOCK
    await upload.run(pieces_of(body))
    assert {id(block) for block in upload.spool._blocks} == {id(window) for window in windows}
    upload.spool.release()
    assert {id(workers.take(BLOCK)) for _ in range(2)} == {id(window) for window in windows}


@needs_proc
@pytest.mark.parametrize("piece", [1000, 65_536, MESSAGE, 3 * WINDOW])
async def test_a_large_body_rests_in_one_file(piece: int, spool_dir: Path, workers: Workers) -> None:
    body = body_of(3 * WINDOW + 17)
    upload = Upload(spool_dir, workers)
    got = await upload.run(pieces_of(body, piece))
    assert len(left_in(spool_dir)) == 1
    assert upload.spool.size == len(body)
    data = got.inputs[0].getvalue()
    assert data == body.split(b"\r\n--bnd")[1].partition(b"\r\n\r\n")[2]
    assert got.input_hash == digest(ROOT, data)
    assert upload.ingest.received == len(body)
    await asyncio.to_thread(upload.spool.release)
    assert left_in(spool_dir) == []


async def test_an_upload_that_has_ended_waits_for_no_collector(spool_dir: Path, workers: Workers) -> None:
    """It would keep two windows, and all that is known of ten thousand parts, until the collector came."""
    upload = Upload(spool_dir, workers)
    await upload.run(pieces_of(body_of(3 * WINDOW)))
    await asyncio.to_thread(catch_up, workers)
    gone = weakref.ref(upload.ingest)
    gc.disable()
    try:
        await asyncio.to_thread(upload.spool.release)
        del upload
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("is_declared", [True, False], ids=["length", "chunked"])
async def test_two_windows_are_in_flight_when_the_worker_is_behind(
    is_declared: bool, spool_dir: Path, workers: Workers
) -> None:
    body = body_of(10 * WINDOW)
    upload = Upload(spool_dir, workers, len(body) if is_declared else 0, spool_memory_bytes=MESSAGE)
    with held_up(workers):
        running = asyncio.create_task(upload.run(pieces_of(body)))
        await turns()
        assert (WINDOW if is_declared else MESSAGE) < upload.given <= 2 * WINDOW + MESSAGE
        assert not running.done()
    got = await asyncio.wait_for(running, LIMIT)
    assert got.inputs[0].size == 10 * WINDOW
    await asyncio.to_thread(upload.spool.release)


@pytest.mark.slow
def test_a_client_feels_that_the_worker_is_behind(spool_dir: Path, workers: Workers, serve: Serve) -> None:
    """Through TCP: what it sends is not taken beyond two windows and what sockets hold."""
    uploads: list[Upload] = []

    class Endpoint:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            uploads.append(Upload(spool_dir, workers, len(body)))
            got = await uploads[0].ingest.run(uvicorn_body.body_of(receive, len(body)))
            answer = got.input_hash.encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": answer})
            await asyncio.to_thread(got.spool.release)

    running = serve(Starlette(routes=[Route("/", Endpoint(), methods=["POST"])]))
    body = body_of(2 * WINDOW + 2 * KERNEL_BYTES)
    with socket.create_connection(running.address, timeout=LIMIT) as client:
        client.sendall(head((*TYPE, (b"Content-Length", b"%d" % len(body)))))
        view = memoryview(body)
        sent = 0
        with held_up(workers):
            client.setblocking(False)
            while sent < len(body) and select.select([], [client], [], 0.5)[1]:
                sent += client.send(view[sent : sent + MESSAGE])
            assert sent < 2 * WINDOW + KERNEL_BYTES
            assert uploads[0].ingest.received <= 2 * WINDOW + MESSAGE
        client.settimeout(LIMIT)
        client.sendall(view[sent:])
        came = b""
        while not came.endswith(b"0\r\n\r\n"):
            came += client.recv(RECEIVE_SIZE)
    assert digest(ROOT, body.split(b"\r\n--bnd")[1].partition(b"\r\n\r\n")[2]).encode() in came


# Time limits


def trickle(connection: socket.socket, pieces: Iterable[bytes], pause: float = 0.02) -> bytes:
    """Send piece after piece, a pause between them, until there is an answer; its first bytes."""
    for piece in pieces:
        if select.select([connection], [], [], pause)[0]:
            break
        connection.sendall(piece)
    return connection.recv(RECEIVE_SIZE)


@pytest.mark.wire("refused: client sends nothing")
@pytest.mark.parametrize("size", [200_000, 3 * MESSAGE], ids=["small", "large"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.slow
def test_a_client_that_stops_sending(
    framing: str, size: int, spool_dir: Path, serve: Serve, log: LogCapture
) -> None:
    app, model = model_of(spool_dir, idle_timeout=0.2, spool_memory_bytes=0)
    running = serve(app)
    body = body_of(size)
    headers = CHUNKED if framing == "chunked" else ((b"Content-Length", b"%d" % len(body)),)
    sent = (b"".join(chunked(body, 999)) if framing == "chunked" else body)[: size - 100_000]
    with Connection(running.address) as connection:
        connection.send(head(TYPE + headers), sent)
        check_problem(connection.read_answer(), 408)
    check_nothing_left(running, spool_dir, app)
    check_served(running.address)
    assert len(model.take()) == 1
    assert log.tracebacks == []


@pytest.mark.wire("refused: client too slow")
@pytest.mark.parametrize(
    "limits",
    [
        {"idle_timeout": 0.5, "min_upload_rate": 10_000},
        {"idle_timeout": 0, "min_upload_rate": 0, "upload_timeout": 0.4},
        {"idle_timeout": 10, "min_upload_rate": 1, "upload_timeout": 0.4},
    ],
    ids=["rate", "whole upload without idle limit", "whole upload"],
)
@pytest.mark.slow
def test_a_client_that_is_too_slow(limits: dict[str, float], spool_dir: Path, serve: Serve) -> None:
    app, model = model_of(spool_dir, **limits)
    running = serve(app)
    with socket.create_connection(running.address, timeout=LIMIT) as client:
        client.sendall(head((*TYPE, (b"Content-Length", b"100000"))) + b"--bnd\r\n\r\n")
        left = iter([b"x"] * 500)
        came = trickle(client, left)
    assert came.startswith(b"HTTP/1.1 408 ")
    assert next(left, None), "the answer came when the client had stopped"
    check_nothing_left(running, spool_dir, app)
    check_served(running.address)
    assert len(model.take()) == 1


@pytest.mark.slow
def test_a_slow_client_above_the_least_rate(spool_dir: Path, serve: Serve) -> None:
    """Some idle periods long, and served."""
    app, model = model_of(spool_dir, idle_timeout=1, min_upload_rate=100)
    running = serve(app)
    body = body_of(10_000)
    with socket.create_connection(running.address, timeout=LIMIT) as client:
        client.sendall(head((*TYPE, (b"Content-Length", b"%d" % len(body)))))
        came = trickle(client, pieces_of(body, 100), pause=0.03)
    assert came.startswith(b"HTTP/1.1 200 ")
    assert len(model.take()) == 1


async def test_time_in_which_the_gateway_itself_is_behind_is_not_the_clients(
    spool_dir: Path, workers: Workers
) -> None:
    upload = Upload(spool_dir, workers, idle_timeout=0.1)
    with held_up(workers):
        running = asyncio.create_task(upload.run(pieces_of(body_of(4 * WINDOW))))
        done, _ = await asyncio.wait({running}, timeout=0.5)
        assert not done
    await asyncio.wait_for(running, LIMIT)
    await asyncio.to_thread(upload.spool.release)


async def test_the_whole_upload_has_its_limit_also_when_the_gateway_is_behind(
    spool_dir: Path, workers: Workers
) -> None:
    upload = Upload(spool_dir, workers, idle_timeout=0.1, upload_timeout=0.3)
    with held_up(workers), pytest.raises(RequestError) as refusal:
        await asyncio.wait_for(upload.run(pieces_of(body_of(4 * WINDOW))), LIMIT)
    assert refusal.value.status == 408
    upload.spool.release()


# The same verdict under every cut

GOOD = body_of(3000)
LONG = GOOD + b" " * 4000  # over the limit by what follows its end
SPOILT = message(part(ROOT), b"no colon\r\n" + part(b"x")) + b"y" * 6000
SPOILT_LATE = message(part(ROOT), part(b"x" * 6000), b"no colon\r\n" + part(b"x"))


@pytest.mark.wire(
    "aftermath: the same however the bytes are cut", "aftermath: model not called, next request served"
)
@pytest.mark.parametrize("size", [1, 7, 1000, 4999, 100_000])
@pytest.mark.parametrize(
    ("body", "status"),
    [(GOOD, 200), (LONG, 413), (SPOILT, 400), (SPOILT_LATE, 413), (GOOD[:-9], 400)],
    ids=["good", "too long", "malformed, then too long", "too long, then malformed", "cut off"],
)
def test_the_verdict_does_not_depend_on_the_cut(body: bytes, status: int, size: int, spool_dir: Path) -> None:
    app, model = model_of(spool_dir, max_body_bytes=5000)
    with app_thread(app) as running:
        answer = running.post(TYPE, cuts(body, size))
        assert answer.status == status
        assert len(model.take()) == (status == 200)
        assert running.post(TYPE, [GOOD]).status == 200
    assert left_in(spool_dir) == []


@pytest.mark.parametrize("behind", [False, True], ids=["worker in time", "worker behind"])
async def test_the_verdict_does_not_depend_on_the_worker(
    behind: bool, spool_dir: Path, workers: Workers
) -> None:
    """Malformed in the first window and over the limit in the second: malformed, whoever is faster."""
    body = message(part(ROOT), b"no colon\r\n" + part(b"")) + bytes(2 * WINDOW)
    upload = Upload(spool_dir, workers, max_body_bytes=WINDOW + MESSAGE)

    pieces = [body[:WINDOW], body[WINDOW : WINDOW + 1], None, body[WINDOW + 1 :]]
    if behind:
        pieces.remove(None)

    with held_up(workers) if behind else nullcontext():
        running = asyncio.create_task(upload.run(pieces))
        await turns()
    with pytest.raises(BadRequest):
        await asyncio.wait_for(running, LIMIT)
    catch_up(workers)
    upload.spool.release()


async def test_over_the_limit_while_the_worker_is_behind(spool_dir: Path, workers: Workers) -> None:
    upload = Upload(spool_dir, workers, max_body_bytes=WINDOW + MESSAGE)
    with held_up(workers):
        running = asyncio.create_task(upload.run(pieces_of(body_of(2 * WINDOW))))
        await turns()
    with pytest.raises(LimitExceeded):
        await asyncio.wait_for(running, LIMIT)
    catch_up(workers)
    upload.spool.release()


# Clients that leave


@needs_proc
@pytest.mark.wire("aftermath: no file left")
@pytest.mark.parametrize("how", ["reset", "close", "half close"])
def test_a_client_that_leaves_in_the_middle(how: str, spool_dir: Path, serve: Serve, log: LogCapture) -> None:
    app, model = model_of(spool_dir)
    running = serve(app)
    body = body_of(3 * WINDOW)
    with Connection(running.address) as connection:
        connection.send(head((*TYPE, (b"Content-Length", b"%d" % len(body)))), body[: 2 * WINDOW + 1])
        running.watched.wait_until(1)
        {"reset": connection.reset, "close": connection.close, "half close": connection.half_close}[how]()
        if how == "half close":
            assert connection.read_answer() is None
    check_nothing_left(running, spool_dir, app)
    check_served(running.address)
    assert len(model.take()) == 1
    assert log.tracebacks == []


async def test_a_client_that_leaves_while_the_worker_is_behind(spool_dir: Path, workers: Workers) -> None:
    """The upload is over when its thread has ended: until then its place and its file are taken."""
    upload = Upload(spool_dir, workers, 3 * WINDOW)
    with held_up(workers):
        running = asyncio.create_task(
            upload.run(pieces_of(bytes(WINDOW + 1)), then={"type": "http.disconnect"})
        )
        assert not (await asyncio.wait((running,), timeout=0.1))[0]
    with pytest.raises(ClientDisconnected):
        await asyncio.wait_for(running, LIMIT)
    upload.spool.release()  # as the endpoint does
    assert left_in(spool_dir) == []


# No room


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Writing more to a file fails, as on a full disk (the kernel's words are other, EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@needs_proc
@pytest.mark.wire("refused: disk full", "aftermath: no file left")
@pytest.mark.parametrize("room", [100_000, WINDOW + 100_000], ids=["first window", "second window"])
def test_a_full_disk(room: int, spool_dir: Path, serve: Serve, log: LogCapture) -> None:
    app, model = model_of(spool_dir)
    running = serve(app)
    body = body_of(3 * WINDOW)
    with files_no_larger_than(room):
        problem = check_problem(exchange(running.address, request(TYPE, body)), 507)
        assert "room" in problem["detail"]
        check_nothing_left(running, spool_dir, app)
        check_served(running.address)  # small enough for memory
    check_served(running.address, body)
    check_nothing_left(running, spool_dir, app)
    assert len(model.take()) == 2
    assert problem["request_id"] in log.text


@pytest.mark.wire("refused: disk full")
def test_a_spool_folder_that_is_gone(spool_dir: Path, serve: Serve) -> None:
    app, model = model_of(spool_dir)
    running = serve(app)
    spool_dir.rmdir()
    check_problem(exchange(running.address, request(TYPE, body_of(2 * MESSAGE))), 507)
    spool_dir.mkdir()
    check_served(running.address, body_of(2 * MESSAGE))
    assert len(model.take()) == 1


@needs_proc
@pytest.mark.wire("refused: disk budget spent")
def test_the_budget_is_asked_for_what_is_declared(spool_dir: Path, serve: Serve) -> None:
    """Before a byte of the body is read."""
    app, model = model_of(spool_dir, spool_quota_bytes=2 * MESSAGE)
    running = serve(app)
    with Connection(running.address) as connection:
        connection.send(head((*TYPE, (b"Content-Length", b"%d" % (3 * MESSAGE)))))
        check_problem(connection.read_answer(), 507)
    check_served(running.address, body_of(MESSAGE))
    check_nothing_left(running, spool_dir, app)
    assert len(model.take()) == 1


@needs_proc
@pytest.mark.wire("refused: disk budget spent")
def test_the_budget_is_asked_for_what_comes(spool_dir: Path, serve: Serve) -> None:
    app, model = model_of(spool_dir, spool_quota_bytes=2 * MESSAGE)
    running = serve(app)
    sent = b"".join(chunked(body_of(3 * MESSAGE), MESSAGE))
    check_problem(exchange(running.address, head(TYPE + CHUNKED), sent), 507)
    check_served(running.address, body_of(MESSAGE))
    check_nothing_left(running, spool_dir, app)
    assert len(model.take()) == 1


def expecting(size: int) -> bytes:
    """The head of a request that waits for its 100."""
    return head((*TYPE, (b"Content-Length", b"%d" % size), (b"Expect", b"100-continue")))


@needs_proc
@pytest.mark.wire("refused: disk full")
def test_the_disk_is_asked_for_what_is_declared(spool_dir: Path, serve: Serve) -> None:
    """With the declared bytes of the uploads that are going on; before a byte of the body is read."""
    app, model = model_of(spool_dir, max_body_bytes=1 << 60)
    running = serve(app)
    disk = os.statvfs(spool_dir)
    free = disk.f_bavail * disk.f_frsize
    answer = exchange(running.address, expecting(1 << 55))
    check_problem(answer, 507)
    assert answer is not None
    assert answer.interim == ()
    with Connection(running.address) as first:
        first.send(expecting(free // 10 * 7))
        assert first.read_interim() == 100
        check_problem(exchange(running.address, expecting(free // 10 * 7)), 507)
        check_served(running.address, body_of(3 * MESSAGE))
    running.watched.wait_idle()
    with Connection(running.address) as second:
        second.send(expecting(free // 10 * 7))
        assert second.read_interim() == 100
    check_nothing_left(running, spool_dir, app)
    assert len(model.take()) == 1


@pytest.mark.wire("refused: disk full")
def test_a_disk_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, spool_dir: Path, serve: Serve) -> None:
    """Nobody waits for it for ever, and probes and small requests do not wait at all."""
    app, _ = model_of(spool_dir)
    running = serve(app)
    go = threading.Event()
    real = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda folder: go.wait(LIMIT) and real(folder))
    monkeypatch.setattr(endpoint, "_DISK_SECONDS", 0.3)
    try:
        answer = exchange(running.address, expecting(5 * MESSAGE))
        check_problem(answer, 503)
        assert answer is not None
        assert answer.header("retry-after")
        check_served(running.address, body_of(10))
        ping = exchange(running.address, head((), method=b"GET", target=b"/ping"))
        assert ping is not None
        assert ping.status == 200
    finally:
        go.set()


@needs_proc
@pytest.mark.wire("refused: disk budget spent")
def test_the_budget_is_shared_and_comes_back(spool_dir: Path, serve: Serve) -> None:
    """The first request keeps its spool as long as its model works."""
    begun, go = threading.Event(), threading.Event()

    def model(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
        begun.set()
        assert go.wait(LIMIT)
        return {"parts": []}

    limits = Settings(spool_dir=spool_dir, spool_quota_bytes=3 * MESSAGE, spool_memory_bytes=MESSAGE)
    app = Gateway(settings=limits)
    app.add_inference_route("/", model)
    running = serve(app)
    sent = request(TYPE, body_of(2 * MESSAGE))
    try:
        with Connection(running.address) as connection:
            connection.send(sent)
            assert begun.wait(LIMIT)
            check_problem(exchange(running.address, sent), 507)
            go.set()
            check_ok(connection.read_answer())
        running.watched.wait_idle()
        check_ok(exchange(running.address, sent))
    finally:
        go.set()


def check_ok(answer: Answer | None) -> None:
    assert answer is not None
    assert (answer.status, answer.whole) == (200, True)
