"""The hardened server: what HTTP it takes, how long it waits, and how its process ends."""

import gc
import json
import os
import signal
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from inference_gateway import Gateway, Settings, current_request, server
from inference_gateway.server import make_server
from tests.conftest import Serve
from tests.harness.log import LogCapture
from tests.harness.process import LIMIT, Process, serve_command
from tests.harness.raw import (
    Address,
    Answer,
    Connection,
    chunked,
    exchange,
    head,
    request,
)
from tests.harness.server import RunningServer, left_in
from tests.harness.wire import check_problem, message, part

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
POST = request(TYPE, message(part(b"1")))
PING = head((), method=b"GET", target=b"/ping")
PONG = b"inference-service is up and accepting connections"
MESSAGE = 1 << 20


class Start(Protocol):
    def __call__(self, model: Callable[..., Any] = ..., **settings: Any) -> RunningServer: ...


def nothing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> int:
    return sum(each.size for each in inputs)


@pytest.fixture
def start(serve: Serve, spool_dir: Path) -> Start:
    """Runs a gateway in the hardened server."""

    def run(model: Callable[..., Any] = nothing, **settings: Any) -> RunningServer:
        app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
        app.add_inference_route("/", model)
        return serve(app, make_server(app, port=0))

    return run


def check_pong(answer: Answer | None) -> None:
    assert answer is not None
    assert (answer.status, answer.body, answer.whole) == (200, PONG, True)


def check_ok(answer: Answer | None) -> Answer:
    assert answer is not None
    assert (answer.status, answer.whole) == (200, True), answer.body[:300]
    return answer


# The header


@pytest.mark.setting("HEADER_TIMEOUT")
@pytest.mark.parametrize("sent", [b"", b"POST", b"GET /ping HTTP/1.1\r\nHost: a\r\n"])
def test_a_header_that_does_not_come(sent: bytes, start: Start) -> None:
    running = start(header_timeout=0.2)
    with Connection(running.address, limit=10) as connection:
        connection.send(sent)
        assert connection.rest() == b""
    check_pong(exchange(running.address, PING))


def test_a_header_that_comes_byte_by_byte(start: Start) -> None:
    """The deadline is for the whole of it, however busy the client is."""
    running = start(header_timeout=0.3)
    line = b"GET /ping HTTP/1.1\r\n" + b"X-A: b\r\n" * 1000
    begun = time.monotonic()
    with Connection(running.address, limit=10) as connection:
        for at in range(len(line)):
            if connection.send_until_closed([line[at : at + 1]]) == 0:
                break
            connection._socket.settimeout(0.01)
            try:
                if not connection._socket.recv(1):
                    break
            except TimeoutError:
                continue
            except ConnectionResetError:
                break
        else:
            pytest.fail("the header was taken for ever")
    assert time.monotonic() - begun < 5


def test_a_header_deadline_for_each_request_of_a_connection(start: Start) -> None:
    running = start(header_timeout=0.3, keep_alive_timeout=20)
    with Connection(running.address, limit=10) as connection:
        connection.send(PING)
        check_pong(connection.read_answer())
        connection.send(PING[:-3])
        assert connection.rest() == b""


def test_a_header_deadline_that_is_switched_off(start: Start) -> None:
    running = start(header_timeout=0, keep_alive_timeout=0.1)
    with Connection(running.address) as connection, Connection(running.address) as other:
        connection.send(PING[:-9])
        other.send(PING)
        check_pong(other.read_answer())
        connection.send(PING[-9:-3])
        assert other.rest() == b""  # the keep-alive limit, which is for others
        connection.send(PING[-3:])
        check_pong(connection.read_answer())


def large_header(count: int, size: int) -> bytes:
    lines = tuple((b"X-%d" % number, b"v" * size) for number in range(count))
    return head(lines, method=b"GET", target=b"/ping")


@pytest.mark.setting("MAX_REQUEST_HEADER_BYTES", "MAX_REQUEST_HEADERS")
@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        (large_header(1, 3900), True),
        (large_header(1, 4100), False),
        (large_header(9, 10), True),  # and Host
        (large_header(10, 10), False),
        (large_header(9, 500), False),
        (head((), method=b"GET", target=b"/ping?" + b"q" * 4100), False),
        (large_header(1, 20 * MESSAGE), False),
        (large_header(100_000, 100), False),
        (large_header(1, 4100)[:-4], False),
    ],
    ids=[
        "bytes at the limit",
        "bytes over it",
        "fields at the limit",
        "fields over it",
        "bytes over it in many fields",
        "target over it",
        "20 MB in one field",
        "10 MB in many",
        "no end in sight",
    ],
)
def test_limits_of_the_header(sent: bytes, taken: bool, start: Start) -> None:
    running = start(max_request_header_bytes=4096, max_request_headers=10)
    with Connection(running.address) as connection:
        connection.send_until_closed([sent])
        answer = connection.read_answer()
    if taken:
        check_pong(answer)
    else:
        check_problem(answer, 431)
    check_pong(exchange(running.address, PING))


def test_trailers_are_bounded_as_the_header_is(start: Start) -> None:
    """They are header fields too, and come when nobody counts any more."""
    running = start(max_request_header_bytes=4096, max_request_headers=10)
    body = b"".join(chunked(message(part(b"1")), 100))[:-2]
    with Connection(running.address) as connection:
        connection.send(head((*TYPE, (b"Transfer-Encoding", b"chunked"))) + body)
        connection.send_until_closed([b"X-T: " + b"v" * 1000 + b"\r\n"] * 20_000 + [b"\r\n"])
        answer = connection.read_answer()
    assert answer is None or answer.status != 200


# One request after another


def test_no_pipelining(start: Start) -> None:
    """The second request is not begun; the first is answered, and says that it was the last."""
    calls: list[Any] = []

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> None:
        calls.append(json_input)

    running = start(model)
    second = request(TYPE, message(part(b"2")))
    with Connection(running.address) as connection:
        connection.send(POST + second)
        answer = check_ok(connection.read_answer())
        assert answer.header("connection") == "close"
        assert connection.rest() == b""
    assert calls == [1]


@pytest.mark.parametrize("size", [10, 3 * MESSAGE])
def test_a_second_request_hides_no_disconnect(size: int, start: Start) -> None:
    begun, go, gone = threading.Event(), threading.Event(), threading.Event()

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> None:
        begun.set()
        while not current_request().cancelled:
            assert not go.wait(0.01)
        gone.set()

    running = start(model)
    first = request(TYPE, message(part(b"1"), part(bytes(size))))
    try:
        with Connection(running.address) as connection:
            connection.send(first + POST)
            assert begun.wait(LIMIT)
        assert gone.wait(LIMIT)
    finally:
        go.set()


@pytest.mark.parametrize("size", [10, 3 * MESSAGE])
def test_a_second_request_does_not_end_the_first(
    size: int, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes."""
    monkeypatch.setattr(server, "DRAIN_SECONDS", 0.1)
    begun, go = threading.Event(), threading.Event()

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> None:
        begun.set()
        assert go.wait(LIMIT)

    running = start(model, header_timeout=1)
    try:
        with Connection(running.address, limit=LIMIT) as connection:
            connection.send(POST)
            assert begun.wait(LIMIT)
            connection.send(POST[:30], POST[30:], bytes(size))
            assert exchange(running.address) is None  # a second, in which nothing is cut
            go.set()
            assert check_ok(connection.read_answer()).header("connection") == "close"
    finally:
        go.set()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel's doing (Linux)")
def test_a_client_that_asks_and_takes_no_answer(start: Start) -> None:
    """The application has been done with the answers for long: neither they nor the socket are kept."""

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        return {"parts": [{"binary_type": "heatmap"}]}, [bytes(60_000)]

    running = start(model, send_timeout=0.3, keep_alive_timeout=0.1, header_timeout=0.5)
    connections = running.server.server_state.connections
    with Connection(running.address, limit=LIMIT) as connection:
        for number in range(1, 1000):
            connection.send(POST)
            running.watched.wait_until(number)
            running.watched.wait_idle()
            (accepted,) = connections
            if accepted.transport.get_write_buffer_size():
                break
        end = time.monotonic() + LIMIT
        while accepted in connections:
            assert time.monotonic() < end, "the connection is kept"
            assert exchange(running.address) is None  # half a second


OFFERS = {
    "h2c": (
        (b"Connection", b"Upgrade, HTTP2-Settings"),
        (b"Upgrade", b"h2c"),
        (b"HTTP2-Settings", b"AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"),
    ),
    "WebSocket": ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")),
}


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "body later"])
@pytest.mark.parametrize("chunk", [0, 1000])
@pytest.mark.parametrize("size", [0, 10, 3 * MESSAGE])
@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_of_another_protocol_is_declined(
    offer: str, size: int, chunk: int, apart: bool, start: Start, log: LogCapture
) -> None:
    """Java's HTTP client offers HTTP/2 with its first request: it is answered, and so is the next one."""
    got: list[int] = []

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> None:
        got.append(sum(each.size for each in inputs))

    running = start(model)
    inputs = [part(bytes(size))] if size else []
    sent = request((*TYPE, *OFFERS[offer]), message(part(b"1"), *inputs), chunk=chunk)
    at = sent.index(b"\r\n\r\n") + 4 if apart else len(sent)
    with Connection(running.address) as connection:
        for _ in range(2):
            connection.send(sent[:at])
            if apart:
                running.watched.wait_until(len(got) * 2 + 1)
            connection.send(sent[at:])
            check_ok(connection.read_answer())
            connection.send(head(OFFERS[offer], method=b"GET", target=b"/ping"))
            check_pong(connection.read_answer())
    assert got == [size, size]
    assert "WebSocket" not in log.text


@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_hides_no_second_request(offer: str, start: Start) -> None:
    running = start()
    with Connection(running.address) as connection:
        connection.send(request((*TYPE, *OFFERS[offer]), message(part(b"1"))) + POST)
        assert check_ok(connection.read_answer()).header("connection") == "close"
        assert connection.rest() == b""
    with Connection(running.address) as connection:
        connection.send(request((*TYPE, *OFFERS[offer]), message(part(b"1"))) + b"GARBAGE\r\n\r\n")
        answer = connection.read_answer()
        assert answer is not None
        assert answer.status in (200, 400)


def test_many_offers_at_once(start: Start, log: LogCapture) -> None:
    running = start()
    with Connection(running.address) as connection:
        connection.send(head(OFFERS["h2c"], method=b"GET", target=b"/ping") * 5000)
        check_pong(connection.read_answer())
        assert connection.rest() == b""
    assert log.tracebacks == []


def test_a_tunnel_is_refused(start: Start) -> None:
    running = start()
    for target in (b"/", b"example.org:443"):
        answer = exchange(running.address, head((), method=b"CONNECT", target=target))
        check_problem(answer, (400, 404, 405))
    check_pong(exchange(running.address, PING))


@pytest.mark.setting("KEEP_ALIVE_TIMEOUT")
def test_an_idle_connection_is_closed(start: Start) -> None:
    running = start(keep_alive_timeout=0.2)
    with Connection(running.address, limit=10) as connection:
        connection.send(PING)
        check_pong(connection.read_answer())
        assert connection.rest() == b""


def test_a_keep_alive_limit_that_is_switched_off(start: Start) -> None:
    """Zero is no limit, not a limit of zero seconds."""
    running = start(keep_alive_timeout=0)
    with Connection(running.address, limit=10) as connection:
        for _ in range(3):
            connection.send(PING)
            check_pong(connection.read_answer())
            check_pong(exchange(running.address, PING))  # the event loop has had its turn


@pytest.mark.parametrize(
    ("sent", "then"),
    [
        (PING, b"\r\n"),
        (head(((b"Content-Length", b"100"),), target=b"/ping"), b"x"),
        (head(((b"Transfer-Encoding", b"chunked"),), target=b"/ping"), b"5\r\nab"),
    ],
    ids=["an empty line", "rest of a body", "rest of a chunk"],
)
def test_an_idle_connection_is_closed_whatever_came_before(sent: bytes, then: bytes, start: Start) -> None:
    """Bytes that begin no request do not keep a connection open."""
    running = start(keep_alive_timeout=0.2, header_timeout=0.2, idle_timeout=0.2)
    with Connection(running.address, limit=5) as connection:
        connection.send(sent)
        check_pong(connection.read_answer())
        connection.send(then)
        assert connection.rest() == b""


@pytest.mark.parametrize(
    ("sent", "trickle"),
    [
        (PING, b"\r\n"),
        (head(((b"Transfer-Encoding", b"chunked"),), target=b"/ping") + b"5;a=", b"x"),
    ],
    ids=["empty lines", "a chunk's extension"],
)
def test_an_idle_connection_is_closed_whatever_comes(sent: bytes, trickle: bytes, start: Start) -> None:
    """What begins no request does not put the limit off, however often it comes."""
    running = start(keep_alive_timeout=0.5, header_timeout=0.5)
    begun = time.monotonic()
    with Connection(running.address, limit=30) as connection:
        connection.send(sent)
        check_pong(connection.read_answer())
        while connection.send_until_closed([trickle]):
            check_pong(exchange(running.address, PING))
            assert time.monotonic() < begun + 10
        assert connection.rest() == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GARBAGE\r\n\r\n", 400), (head(((b"Content-Length", b"100"),), target=b"/ping") + b"x", 200)],
    ids=["broken HTTP", "rest of a body"],
)
def test_nothing_keeps_a_connection_that_is_over(sent: bytes, status: int, start: Start) -> None:
    """What is still read after its last answer has a limit, and that a timer."""
    running = start()
    with Connection(running.address) as connection:
        connection.send(sent)
        answer = connection.read_answer()
        assert answer is not None
        assert answer.status == status
        (accepted,) = running.server.server_state.connections
        kept = weakref.ref(accepted)
        del accepted
        connection.send_until_closed([b"x"])
    end = time.monotonic() + 5
    while kept() is not None:
        assert time.monotonic() < end
        check_pong(exchange(running.address, PING))
        gc.collect()


@pytest.mark.wire("aftermath: draining is bounded")
def test_a_probe_does_not_read_for_ever(start: Start) -> None:
    running = start()
    with Connection(running.address, limit=60) as connection:
        connection.send(head(((b"Transfer-Encoding", b"chunked"),), target=b"/ping"))
        chunk = b"100000\r\n" + bytes(MESSAGE) + b"\r\n"
        taken = connection.send_until_closed(chunk for _ in range(400))
    assert taken < 350 * MESSAGE


# Broken HTTP


@pytest.mark.parametrize("offer", [(), *OFFERS.values()], ids=["plain", *OFFERS])
@pytest.mark.parametrize("codings", [("gzip", "chunked"), ("gzip, chunked",), ("chunked", "chunked"), ("",)])
def test_codings_of_the_body_other_than_chunked(
    codings: Sequence[str], offer: Sequence[tuple[bytes, bytes]], start: Start
) -> None:
    """Also over several lines, which are one list (RFC 9110 §5.3)."""
    lines = tuple((b"Transfer-Encoding", coding.encode()) for coding in codings)
    body = b"".join(chunked(message(part(b"1")), 100))
    check_problem(exchange(start().address, head((*TYPE, *offer, *lines)) + body), (400, 415))


@pytest.mark.wire("refused: body over its limit")
@pytest.mark.parametrize("length", [b"9223372036854775807", b"18446744073709551615", b"0" * 30 + b"9" * 15])
def test_a_length_that_is_hardly_a_number(length: bytes, start: Start) -> None:
    answer = exchange(start().address, head((*TYPE, (b"Content-Length", length))))
    check_problem(answer, 413)


def test_a_length_with_zeros_before_it(start: Start) -> None:
    body = message(part(b"1"))
    length = b"0" * 30 + b"%d" % len(body)
    check_ok(exchange(start().address, head((*TYPE, (b"Content-Length", length))) + body))


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /ping HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /ping HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_broken_http_gets_a_problem(sent: bytes, start: Start) -> None:
    running = start()
    with Connection(running.address) as connection:
        connection.send(sent)
        answer = connection.read_answer()
        check_problem(answer, 400)
        assert answer is not None
        assert answer.header("connection") == "close"
        assert connection.rest() == b""
    check_pong(exchange(running.address, PING))


def test_broken_http_gets_a_problem_that_is_seen_while_sending(start: Start) -> None:
    running = start()
    with Connection(running.address) as connection:
        connection.send(b"GARBAGE\r\n\r\n", *[bytes(MESSAGE)] * 20)
        check_problem(connection.read_answer(), 400)


@pytest.mark.wire("aftermath: draining is bounded")
def test_a_client_that_never_stops_sending_broken_http(start: Start) -> None:
    running = start()
    with Connection(running.address, limit=60) as connection:
        connection.send(b"GARBAGE\r\n\r\n")
        check_problem(connection.read_answer(), 400)
        assert connection.send_until_closed(bytes(MESSAGE) for _ in range(400)) < 350 * MESSAGE


def test_a_broken_chunk_in_the_middle_of_a_body(start: Start, spool_dir: Path, log: LogCapture) -> None:
    running = start(spool_memory_bytes=0)
    with Connection(running.address) as connection:
        connection.send(head((*TYPE, (b"Transfer-Encoding", b"chunked"))), b"5\r\n--bnd\r\nzz\r\n")
        check_problem(connection.read_answer(), 400)
    running.watched.wait_idle()
    assert left_in(spool_dir) == []
    assert log.tracebacks == []


def test_the_server_does_not_say_what_it_is(start: Start) -> None:
    answer = exchange(start().address, PING)
    assert answer is not None
    assert answer.header("server") is None


def test_connections_are_watched_by_the_kernel(start: Start) -> None:
    """TCP keep-alive: a client whose machine is gone is noticed."""
    seen: list[int] = []
    running = start(send_timeout=7.5)
    accepted = running.server.server_state.connections
    with Connection(running.address) as connection:
        connection.send(PING)
        check_pong(connection.read_answer())
        for each in list(accepted):
            sock = each.transport.get_extra_info("socket")
            seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7500
    assert seen == [1]


# The process


MODEL = """
import os
from pathlib import Path

def quick(json_input, inputs, input_hash):
    return "done"

def held(json_input, inputs, input_hash):
    Path("begun").write_text("x")  # a pipe: both wait for the other end
    Path("go").read_text()
    return "done"

def streaming(json_input, inputs, input_hash):
    def produce():
        yield b"first"
        held(None, None, None)
    return {"parts": [{"binary_type": "heatmap"}]}, [produce()]

class HeldWithTeardown:
    __call__ = staticmethod(held)
    def teardown(self):
        pass

class Ending:
    __call__ = staticmethod(quick)
    def teardown(self):
        print("the model has ended", flush=True, file=__import__("sys").stderr)

class HeldSetup:
    def setup(self):
        Path("begun").write_text("x")
        Path("go").read_text()
    __call__ = staticmethod(quick)
    def teardown(self):
        pass

class HeldTeardown:
    __call__ = staticmethod(quick)
    def teardown(self):
        Path("go").read_text()

class HungDisk:
    def setup(self):
        os.statvfs = lambda folder: Path("go").read_text()
    __call__ = staticmethod(quick)

class FailingSetup:
    def setup(self):
        raise ValueError("no weights here")
    __call__ = staticmethod(quick)

class ExitingSetup(FailingSetup):
    def setup(self):
        raise SystemExit("no weights here")

class EmptySetup(FailingSetup):
    def setup(self):
        next(iter(Path("no weights here").glob("*")))

def unhealthy():
    held(None, None, None)
    return "READY"

from inference_gateway import Gateway
many_hung = Gateway()
for number in range(10):
    many_hung.add_inference_route(f"/{number}", HeldTeardown)
sick = Gateway()
sick.add_inference_route("/", quick)
sick.add_healthcheck_route(unhealthy)
"""


class Run(Protocol):
    def __call__(self, target: str, *options: str, **settings: object) -> Process: ...


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs `serve` for an object of `MODEL`; the folder has the pipes `begun` and `go`."""
    (tmp_path / "my_model.py").write_text(MODEL)
    os.mkfifo(tmp_path / "begun")
    os.mkfifo(tmp_path / "go")
    with ExitStack() as stack:

        def start(target: str, *options: str, **settings: object) -> Process:
            command = serve_command(target, *options)
            process = Process(tmp_path, command, **{"spool_dir": tmp_path, **settings})
            stack.callback(process.close)
            return process

        yield start


def let_go(folder: Path) -> None:
    (folder / "go").write_text("x")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_orderly(number: int, run: Run) -> None:
    process = run("my_model:Ending")
    check_ok(exchange(process.address, POST))
    process.popen.send_signal(number)
    assert process.wait() == 0
    assert "the model has ended" in process.log
    assert "Traceback" not in process.log


def test_a_request_in_flight_is_answered_after_the_signal(run: Run, tmp_path: Path) -> None:
    process = run("my_model:held")
    with Connection(process.address, limit=LIMIT) as connection, Connection(process.address) as idle:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        process.popen.send_signal(signal.SIGTERM)
        process.wait_closed()
        assert idle.rest() == b""
        let_go(tmp_path)
        answer = check_ok(connection.read_answer())
        assert b'"done"' in answer.body
    assert process.wait() == 0


def test_an_upload_in_flight_is_answered_after_the_signal(run: Run) -> None:
    process = run("my_model:quick")
    body = message(part(b"1"), part(bytes(3 * MESSAGE)))
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(head((*TYPE, (b"Content-Length", b"%d" % len(body)))), body[: 2 * MESSAGE])
        check_metric(process.address, b"gateway_uploads 1.0")
        process.popen.send_signal(signal.SIGTERM)
        process.wait_closed()
        connection.send(body[2 * MESSAGE :])
        answer = check_ok(connection.read_answer())
        assert answer.header("connection") == "close"
    assert process.wait() == 0


def test_a_refused_client_that_does_not_stop_holds_nobody_up(run: Run) -> None:
    process = run("my_model:quick", drain_timeout=0.3, max_body_bytes="1MiB")
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(head((*TYPE, (b"Content-Length", b"%d" % (2 * MESSAGE)))), bytes(MESSAGE))
        check_problem(connection.read_answer(), 413)
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "Traceback" not in process.log


def check_metric(address: Address, line: bytes) -> None:
    """Wait until it is so; each question is a round trip."""
    while line not in check_ok(exchange(address, PING.replace(b"/ping", b"/metrics"))).body:
        pass


@pytest.mark.setting("DRAIN_TIMEOUT")
@pytest.mark.parametrize("model", ["held", "HeldWithTeardown"])
def test_a_hung_model_is_cut_when_the_drain_is_over(model: str, run: Run, tmp_path: Path) -> None:
    """Once: the drain's time is for all of it, the model's teardown too."""
    process = run(f"my_model:{model}", drain_timeout=2)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        process.popen.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        answer = connection.read_answer()
        check_problem(answer, 503)
        assert answer is not None
        assert int(answer.header("retry-after") or "") >= 1
        assert process.wait() == 0
        assert 1.8 < time.monotonic() - begun < 3.7


def test_an_answer_on_its_way_is_cut_when_the_drain_is_over(run: Run, tmp_path: Path) -> None:
    process = run("my_model:streaming", drain_timeout=0.3)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        process.popen.send_signal(signal.SIGTERM)
        answer = connection.read_answer()
        assert answer is not None
        assert (answer.status, answer.whole) == (200, False)
        assert b"first" in answer.body
    assert process.wait() == 0


@pytest.mark.parametrize("model", ["held", "HeldWithTeardown"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(number: int, model: str, run: Run, tmp_path: Path) -> None:
    process = run(f"my_model:{model}", drain_timeout=20)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        process.popen.send_signal(number)
        process.wait_closed()
        process.popen.send_signal(number)
        assert process.wait(limit=2) == 0
        answer = connection.read_answer()
        assert answer is None or answer.status != 200


def test_a_second_signal_ends_it_while_a_model_is_torn_down(run: Run, tmp_path: Path) -> None:
    process = run("my_model:HeldSetup", drain_timeout=20)
    check_ok(exchange(process.address, PING))
    (tmp_path / "begun").read_text()
    process.popen.send_signal(signal.SIGTERM)
    process.wait_closed()
    process.wait_line("Waiting for application shutdown")
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait(limit=2) == 0


def test_a_hung_disk_does_not_keep_the_process(run: Run) -> None:
    """Its thread is one that the interpreter would wait for."""
    process = run("my_model:HungDisk", drain_timeout=0.3)
    while (answer := exchange(process.address, PING.replace(b"/ping", b"/healthcheck"))) is None or (
        answer.status == 503
    ):
        pass  # the model is being set up
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(head((*TYPE, (b"Content-Length", b"%d" % (2 * MESSAGE)))))
        check_metric(process.address, b"gateway_uploads 1.0")
        process.popen.send_signal(signal.SIGTERM)
        check_problem(connection.read_answer(), 503)
        assert process.wait(limit=20) == 0


def test_a_hung_setup_does_not_keep_the_process(run: Run, tmp_path: Path) -> None:
    process = run("my_model:HeldSetup", drain_timeout=0.3)
    check_ok(exchange(process.address, PING))
    (tmp_path / "begun").read_text()
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait(limit=10) == 0


def test_hung_teardowns_end_together(run: Run) -> None:
    """The drain's time is for all of them, not for each."""
    process = run("my_model:many_hung", drain_timeout=0.5)
    check_ok(exchange(process.address, PING))
    begun = time.monotonic()
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() - begun < 12
    assert process.log.count("teardown of model HeldTeardown took too long") == 10


def test_a_hung_health_check_does_not_keep_the_process(run: Run, tmp_path: Path) -> None:
    process = run("my_model:sick", drain_timeout=0.3)
    with Connection(process.address) as connection:
        connection.send(PING.replace(b"/ping", b"/healthcheck"))
        (tmp_path / "begun").read_text()
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait(limit=10) == 0


@pytest.mark.wire("routes: failed setup")
@pytest.mark.parametrize("model", ["FailingSetup", "ExitingSetup", "EmptySetup"])
def test_a_setup_that_fails_ends_it(model: str, run: Run) -> None:
    process = run(f"my_model:{model}")
    assert process.wait(limit=10) == 3
    assert f"setup of model my_model:{model} failed" in process.log
    assert "Traceback" in process.log


@pytest.mark.setting("SPOOL_DIR")
@pytest.mark.parametrize("kind", ["missing", "a file", "not writable"])
def test_a_spool_folder_that_cannot_be_used(kind: str, run: Run, tmp_path: Path) -> None:
    folder = {"missing": tmp_path / "none", "a file": tmp_path / "my_model.py", "not writable": Path("/proc")}
    process = run("my_model:quick", spool_dir=folder[kind])
    assert process.wait() == 3
    said = [line for line in process.lines if f"cannot write to the spool folder {folder[kind]}" in line]
    assert said
    assert "GATEWAY_SPOOL_DIR" in said[-1]


def test_a_port_that_is_taken(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = run("my_model:quick", "--port", str(taken.getsockname()[1]))
        assert process.wait() == 3
    assert "address already in use" in process.log


@pytest.mark.setting("LOG_FORMAT")
def test_the_log_as_json(run: Run) -> None:
    process = run("my_model:quick", log_format="json")
    answer = check_ok(exchange(process.address, POST))
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    lines = [json.loads(line) for line in process.lines]
    ours = [line for line in lines if line["logger"] == "inference_gateway"]
    assert any(str(answer.header("x-request-id")) in line["message"] for line in ours)


# TLS


PASSWORD = "of-the-locked-key"


class Certificates:
    """A CA, a server's certificate and a client's, in a folder; and a CA and a client of somebody else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for authority, names in (("ca", ("server", "client")), ("other-ca", ("stranger",))):
            ca = trustme.CA()
            ca.cert_pem.write_to_path(self.path(f"{authority}.pem"))
            for name in names:
                issued = ca.issue_cert("127.0.0.1")
                issued.cert_chain_pems[0].write_to_path(self.path(f"{name}.pem"))
                issued.private_key_pem.write_to_path(self.path(f"{name}.key"))
        key = load_pem_private_key((folder / "server.key").read_bytes(), None)
        locked = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())
        )
        (folder / "locked.key").write_bytes(locked)
        (folder / "both.pem").write_text(self.text("server.key") + self.text("server.pem"))

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def client(self, name: str | None = None) -> ssl.SSLContext:
        """What a client needs, with a certificate of its own where it has one."""
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        if name is not None:
            context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def secure_exchange(address: Address, context: ssl.SSLContext, body: bytes) -> bytes:
    """The whole answer; empty where the server ends the connection without one."""
    with (
        socket.create_connection(address, timeout=LIMIT) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        came = b""
        try:
            secure.sendall(request((*TYPE, (b"Connection", b"close")), body))
            while block := secure.recv(1 << 16):
                came += block
        except (ssl.SSLError, ConnectionError):
            return b""
        return came


def check_secure(address: Address, context: ssl.SSLContext) -> None:
    for body in (message(part(b"1")), message(part(b"1"), part(bytes(3 * MESSAGE)))):
        came = secure_exchange(address, context, body)
        assert came.startswith(b"HTTP/1.1 200 ")
        assert b'"done"' in came


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "options",
    [
        {"certfile": "server.pem", "keyfile": "server.key"},
        {"certfile": "both.pem"},
        {"certfile": "server.pem", "keyfile": "locked.key", "keyfile-password": PASSWORD},
    ],
    ids=["two files", "one file", "password"],
)
def test_tls(options: dict[str, str], workers: str, run: Run, certificates: Certificates) -> None:
    paths = {
        name: value if "password" in name else certificates.path(value) for name, value in options.items()
    }
    given = [f"--ssl-{name}={value}" for name, value in paths.items()]
    process = run("my_model:quick", "--workers", workers, *given)
    assert process.wait_line("running on https://")
    check_secure(process.address, certificates.client())
    with Connection(process.address) as connection:
        connection.send(PING)
        assert connection.rest() == b""
    process.popen.terminate()
    assert process.wait() == 0
    assert PASSWORD not in process.log


def test_a_password_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, run: Run, certificates: Certificates
) -> None:
    files = (
        "--ssl-certfile",
        certificates.path("server.pem"),
        "--ssl-keyfile",
        certificates.path("locked.key"),
    )
    process = run("my_model:quick", *files, ssl_keyfile_password=PASSWORD)
    check_secure(process.address, certificates.client())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_mutual_tls(workers: str, run: Run, certificates: Certificates) -> None:
    """Who has no certificate of the CA gets no answer."""
    files = {"certfile": "server.pem", "keyfile": "server.key", "ca-certs": "ca.pem"}
    given = [f"--ssl-{name}={certificates.path(value)}" for name, value in files.items()]
    process = run("my_model:quick", "--workers", workers, *given)
    check_secure(process.address, certificates.client("client"))
    for name in (None, "stranger"):
        try:
            came = secure_exchange(process.address, certificates.client(name), message(part(b"1")))
        except (ssl.SSLError, ConnectionError):
            came = b""
        assert came == b""
    check_secure(process.address, certificates.client("client"))
    process.wait_log(lambda: process.log.count("status 200") == 4, "four requests")
    process.popen.terminate()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keyfile": "server.key"}, "--ssl-certfile"),
        ({"ca-certs": "ca.pem"}, "--ssl-certfile"),
        ({"certfile": "none.pem"}, "none.pem"),
        ({"certfile": "server.pem"}, "cannot be used"),
        ({"certfile": "server.pem", "keyfile": "client.key"}, "cannot be used"),
        ({"certfile": "server.pem", "keyfile": "server.key", "ca-certs": "server.key"}, "cannot be used"),
    ],
)
def test_tls_options_that_do_not_fit(
    options: dict[str, str], says: str, run: Run, certificates: Certificates
) -> None:
    """Never a server without the TLS that was asked for."""
    given = [f"--ssl-{name}={certificates.path(value)}" for name, value in options.items()]
    process = run("my_model:quick", *given)
    assert process.wait() == 2
    assert says in process.log
    assert "Traceback" not in process.log
