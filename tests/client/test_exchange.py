"""What the clients share: httpx's errors become the client's own, and an early answer ends the sending."""

import select
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import httpcore
import httpx
import pytest

from inference_gateway.client.exchange import Exchange
from inference_gateway.client.upload import Progress, Upload
from inference_gateway.errors import (
    BrokenAnswer,
    ClientError,
    CutAnswer,
    GatewayUnreachable,
    Overloaded,
    ProblemAnswer,
)
from tests.client.servers import LIMIT, TRUE

TYPE = {"content-type": "multipart/related; boundary=T"}


def kinds(of: type[httpx.RequestError]) -> Iterator[type[httpx.RequestError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


ALL = sorted(set(kinds(httpx.RequestError)), key=lambda kind: kind.__name__)
NOT_SENT = {httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError}


def exchange() -> Exchange:
    return Exchange(Upload(1, []), None)


def raised(one: Exchange, error: BaseException) -> ClientError:
    with pytest.raises(ClientError) as client_error, one.errors():
        raise error
    assert client_error.value.__cause__ is error
    return client_error.value


@pytest.mark.parametrize("kind", ALL)
def test_each_error_of_httpx_before_an_answer(kind: type[httpx.RequestError]) -> None:
    error = raised(exchange(), kind("the reason"))
    assert isinstance(error, GatewayUnreachable)
    assert error.sent == (kind not in NOT_SENT)
    assert ("the reason" in str(error)) == (kind in NOT_SENT)


@pytest.mark.parametrize("kind", ALL)
def test_each_error_of_httpx_within_an_answer(kind: type[httpx.RequestError]) -> None:
    one = exchange()
    one.begin(200, TYPE)
    error = raised(one, kind("the reason"))
    assert type(error) is CutAnswer


@pytest.mark.parametrize("kind", ALL)
def test_each_error_of_httpx_within_a_refusal(kind: type[httpx.RequestError]) -> None:
    """The status has come: it says more than that the connection was lost."""
    one = exchange()
    one.begin(503, {"retry-after": "3"})
    one.receive(b'{"detail": "lat')
    error = raised(one, kind("the reason"))
    assert isinstance(error, Overloaded)
    assert error.retry_after == 3


def test_errors_of_others_pass() -> None:
    for error in (OSError(), KeyboardInterrupt(), BrokenAnswer()):
        with pytest.raises(type(error)) as same, exchange().errors():
            raise error
        assert same.value is error


def test_nothing_is_kept_of_an_answer_that_fails() -> None:
    one = exchange()
    one.begin(200, TYPE)
    one.receive(TRUE)
    with pytest.raises(KeyboardInterrupt), one.errors():
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="closed"):
        one.receive(b"")


@pytest.mark.parametrize("status", [100, 201, 204, 301, 404, 500, 599])
def test_any_status_but_200_is_a_problem(status: int) -> None:
    one = exchange()
    one.begin(status, TYPE)
    one.receive(TRUE)
    with pytest.raises(ProblemAnswer) as problem:
        one.finish()
    assert problem.value.status == status


@pytest.mark.parametrize(
    ("length", "total"), [("12", 12), ("", None), ("-1", None), ("1.5", None), ("9" * 5000, None)]
)
def test_progress_of_the_answer(length: str, total: int | None) -> None:
    seen: list[Progress] = []
    upload = Upload(1, [b"x"])
    one = Exchange(upload, seen.append)
    list(upload.blocks())
    one.sent(upload.total)
    one.begin(200, {**TYPE, "content-length": length})
    assert one.collect(TRUE) is None
    one.report()
    assert seen == [
        Progress(upload.total, upload.total, 1, 1, 0, None),
        Progress(upload.total, upload.total, 1, 1, len(TRUE), total),
    ]


def test_options_of_the_caller_and_of_the_request() -> None:
    one = exchange()
    options = one.options(
        {"timeout": 3, "headers": {"X-Mine": "1", "content-type": "text/plain"}, "extensions": {"a": 1}},
        print,
    )
    assert options["timeout"] == 3
    assert options["headers"]["x-mine"] == "1"
    assert options["headers"].get_list("content-type") == [one.upload.headers["Content-Type"]]
    assert options["extensions"] == {"a": 1, "trace": print}
    assert one.options({}, print)["headers"] == one.upload.headers


class Recorded:
    """A time limit that is only written down."""

    def __init__(self) -> None:
        self.passed = False
        self.told: list[str] = []

    def start(self, seconds: float, connection: object) -> None:
        self.told.append(f"{seconds} {connection}")

    def stop(self) -> None:
        self.told.append("stop")


def test_the_wait_for_an_answer_is_counted_and_nothing_else() -> None:
    """Not the upload, not a 200's body; but each head, and what says why there is no 200."""
    limit = Recorded()
    one = Exchange(Upload(1, []), None, limit)
    request = httpcore.Request("POST", "http://a/", extensions={"timeout": {"read": 7, "write": 1}})
    sending = ["http11.send_request_headers.started", "http11.send_request_body.complete"]
    head = "http11.receive_response_headers"
    for event in (*sending, f"{head}.started"):
        one.traced(event, {"request": request})
    one.traced(f"{head}.complete", {"return_value": None})
    assert limit.told == ["7 None", "stop"]
    one.traced("http11.receive_response_body.started", {"request": request})
    assert limit.told[2:] == ["7 None"]
    one.begin(200, TYPE)
    one.traced("http11.receive_response_body.started", {"request": request})
    assert len(limit.told) == 3
    with one.errors():
        pass
    assert limit.told[3:] == ["stop"]


def test_without_a_time_limit_nothing_is_counted() -> None:
    limit = Recorded()
    one = Exchange(Upload(1, []), None, limit)
    for timeouts in ({}, {"timeout": {"read": None}}):
        request = httpcore.Request("POST", "http://a/", extensions=timeouts)
        one.traced("http11.receive_response_headers.started", {"request": request})
    assert limit.told == []


Peer = tuple[socket.socket, Mapping[str, Any]]


@pytest.fixture
def peer() -> Iterator[Peer]:
    """The server's end of a connection, and what httpcore tells of the client's end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        stream = httpcore.SyncBackend().connect_tcp(host, port, timeout=LIMIT)
        server, _ = listener.accept()
        with server:
            yield server, {"return_value": stream}
        stream.close()


def note(one: Exchange, info: Mapping[str, Any], *events: str) -> None:
    for event in events:
        one.traced(event, info)


def wait_for_bytes(info: Mapping[str, Any]) -> None:
    assert select.select([info["return_value"].get_extra_info("socket")], [], [], LIMIT)[0]


@pytest.mark.parametrize("how", ["connect_tcp", "connect_unix_socket"])
@pytest.mark.parametrize("answer", [b"HTTP/1.1 413 Content Too Large\r\n", b"H", b""])
def test_an_answer_while_sending_ends_it(how: str, answer: bytes, peer: Peer) -> None:
    """So does the end of the connection."""
    server, info = peer
    one = exchange()
    one.check_unanswered()
    note(one, info, f"connection.{how}.started", f"connection.{how}.complete")
    one.check_unanswered()
    server.sendall(answer)
    server.shutdown(socket.SHUT_WR)
    wait_for_bytes(info)
    for _ in range(2):
        with pytest.raises(httpcore.WriteError):
            one.check_unanswered()
    assert info["return_value"].read(100, LIMIT) == answer  # it is still there to be read


def test_a_connection_that_is_reset_ends_it(peer: Peer) -> None:
    server, info = peer
    one = exchange()
    note(one, info, "connection.connect_tcp.complete")
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    wait_for_bytes(info)
    with pytest.raises(httpcore.WriteError):
        one.check_unanswered()


def test_an_interim_answer_does_not_end_it(peer: Peer) -> None:
    server, info = peer
    one = exchange()
    note(one, info, "connection.connect_tcp.complete")
    server.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    wait_for_bytes(info)
    one.check_unanswered()


@pytest.mark.parametrize("event", ["connection.start_tls.complete", "http2.send_connection_init.started"])
def test_bytes_that_may_be_no_answer(event: str, peer: Peer) -> None:
    """Session tickets, or frames of HTTP/2."""
    server, info = peer
    one = exchange()
    note(one, info, "connection.connect_tcp.complete", event)
    server.sendall(b"HTTP/1.1 413 Content Too Large\r\n")
    wait_for_bytes(info)
    one.check_unanswered()
