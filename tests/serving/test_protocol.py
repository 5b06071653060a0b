"""The hardened connection: what HTTP it takes, and how long it waits."""

import gc
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import current_request
from inference_gateway.serving import protocol
from tests.harness.log import LogCapture
from tests.harness.process import LIMIT
from tests.harness.raw import Answer, Connection, chunked, exchange, head, request
from tests.harness.server import left_in
from tests.harness.serving import MESSAGE, PING, POST, TYPE, Start, check_ok
from tests.harness.waiting import until
from tests.harness.wire import check_problem, message, part

PONG = b"inference-service is up and accepting connections"


def check_pong(answer: Answer | None) -> None:
    assert answer is not None
    assert (answer.status, answer.body, answer.whole) == (200, PONG, True)


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
    with Connection(running.address, limit=LIMIT) as connection:
        for at in range(1000):  # ten seconds at the least
            if connection.send_until_closed([line[at : at + 1]]) == 0:
                break
            if connection.ends_within(0.01):
                break
        else:
            pytest.fail("the header was taken for ever")


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


def test_no_pipelining(start: Start) -> None:
    """The second request is not begun; the first is answered, and says that it was the last."""
    calls: list[Any] = []

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        calls.append(json_input)
        return {}

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
@pytest.mark.slow
def test_a_second_request_does_not_end_the_first(
    size: int, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes."""
    monkeypatch.setattr(protocol, "DRAIN_SECONDS", 0.1)
    begun, go = threading.Event(), threading.Event()

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        begun.set()
        assert go.wait(LIMIT)
        return {}

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

    running = start(model, send_timeout=2, keep_alive_timeout=1, header_timeout=5)
    connections = running.server.server_state.connections
    with Connection(running.address, limit=LIMIT) as connection:
        connection.send(POST)
        running.watched.wait_until(1)
        (accepted,) = connections
        for number in range(2, 1000):
            running.watched.wait_idle()
            if accepted.transport.get_write_buffer_size() or accepted not in connections:
                break
            connection.send(POST)
            running.watched.wait_until(number)
        until(lambda: accepted not in connections, "the end of the connection")


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
@pytest.mark.slow
def test_an_offer_of_another_protocol_is_declined(
    offer: str, size: int, chunk: int, apart: bool, start: Start, log: LogCapture
) -> None:
    """Java's HTTP client offers HTTP/2 with its first request: it is answered, and so is the next one."""
    got: list[int] = []

    def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        got.append(sum(each.size for each in inputs))
        return {}

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
        check_ok(connection.read_answer())  # what follows is none of it
        assert connection.rest() == b""


@pytest.mark.parametrize("offer", [(), *OFFERS.values()], ids=["plain", *OFFERS])
def test_what_follows_an_offer_is_judged_as_without_one(
    offer: Sequence[tuple[bytes, bytes]], start: Start
) -> None:
    """A last request with another one behind it is answered, as the first of a connection would be."""
    running = start()
    last = head(((b"Connection", b"close"),), method=b"GET", target=b"/ping")
    with Connection(running.address) as connection:
        connection.send(request((*TYPE, *offer), message(part(b"1"))))
        check_ok(connection.read_answer())
        connection.send(last + PING)
        check_pong(connection.read_answer())
        assert connection.rest() == b""


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
    with Connection(running.address, limit=10) as connection:
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

    def forgotten() -> bool:
        check_pong(exchange(running.address, PING))
        gc.collect()
        return kept() is None

    until(forgotten, "that the connection is forgotten")


@pytest.mark.wire("aftermath: draining is bounded")
def test_a_probe_does_not_read_for_ever(start: Start) -> None:
    running = start()
    with Connection(running.address, limit=60) as connection:
        connection.send(head(((b"Transfer-Encoding", b"chunked"),), target=b"/ping"))
        chunk = b"100000\r\n" + bytes(MESSAGE) + b"\r\n"
        taken = connection.send_until_closed(chunk for _ in range(400))
    assert taken < 350 * MESSAGE


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
