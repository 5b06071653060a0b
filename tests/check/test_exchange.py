"""Requests go out as they are written, and answers are taken as far as they come."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from inference_gateway.check.exchange import NoAnswer, Target

OK = b"HTTP/1.1 200 OK\r\n"
LIMIT = 20.0


class Peer:
    """A server that takes a head, answers with some bytes, and closes or waits."""

    def __init__(self, answer: bytes, *, silent: bool = False) -> None:
        self.answer = answer
        self.silent = silent
        self.head = b""
        self.over = threading.Event()

    def serve(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.settimeout(LIMIT)
        with connection:
            while b"\r\n\r\n" not in self.head:
                self.head += connection.recv(1 << 16)
            connection.sendall(self.answer)
            if self.silent:
                assert self.over.wait(LIMIT)


@contextmanager
def peer(answer: bytes, *, silent: bool = False) -> Iterator[tuple[Peer, str]]:
    running = Peer(answer, silent=silent)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=running.serve, args=(listener,))
        thread.start()
        try:
            yield running, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.over.set()
            thread.join(LIMIT)


def test_sends_the_headers_that_it_is_given() -> None:
    with peer(OK + b"Content-Length: 0\r\n\r\n") as (running, url):
        target = Target(url + "/base/", headers=(("Authorization", "Bearer k"),), timeout=LIMIT)
        answer = target.send("POST", "/infer", (("Content-Length", "9"), ("X-A", "b")))
        port = url.rpartition(":")[2]
    assert (answer.status, answer.body, answer.whole) == (200, b"", True)
    assert running.head.decode().split("\r\n") == [
        "POST /base/infer HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        *("Authorization: Bearer k", "Content-Length: 9", "X-A: b", "Connection: close", "", ""),
    ]


@pytest.mark.parametrize(
    ("sent", "body", "whole"),
    [
        (b"Content-Length: 3\r\n\r\nabc", b"abc", True),
        (b"Content-Length: 3\r\n\r\nab", b"ab", False),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc", True),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"abc", False),
        (b"\r\nabc", b"abc", True),
    ],
)
@pytest.mark.parametrize("sunk", [False, True])
def test_takes_an_answer_as_far_as_it_comes(sent: bytes, body: bytes, whole: bool, sunk: bool) -> None:
    sink = bytearray()
    with peer(OK + sent) as (_, url):
        answer = Target(url, timeout=LIMIT).send("GET", "/", sink=sink.extend if sunk else None)
    assert answer.whole is whole
    assert bytes(sink) + answer.body == body
    assert bool(answer.body) is not sunk


def test_an_error_is_not_for_the_sink() -> None:
    sink = bytearray()
    with peer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno") as (_, url):
        answer = Target(url, timeout=LIMIT).send("GET", "/", sink=sink.extend)
    assert (answer.status, answer.body, sink) == (404, b"no", bytearray())


def test_headers_of_an_answer() -> None:
    sent = (
        OK + b"Content-Type: Text/PLAIN; charset=x\r\nAllow: GET\r\nALLOW: POST\r\nContent-Length: 0\r\n\r\n"
    )
    with peer(sent) as (_, url):
        answer = Target(url, timeout=LIMIT).send("GET", "/")
    assert answer.essence == "text/plain"
    assert answer.header("allow") == "GET, POST"
    assert answer.header("x-none") is None


def test_an_answer_before_the_body() -> None:
    """The other side closes while the body is being sent: the answer counts, if it can still be read."""
    blocks = (bytes(1 << 16) for _ in range(1000))
    with peer(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n") as (_, url):
        try:
            answer = Target(url, timeout=LIMIT).send("POST", "/", (("Content-Length", "65536000"),), blocks)
        except NoAnswer as error:
            assert re.search("without an answer", str(error))  # noqa: PT017 - the kernel decides which
        else:
            assert answer.status == 413


def test_no_answer() -> None:
    with peer(b"") as (_, url), pytest.raises(NoAnswer, match="without an answer") as caught:
        Target(url, timeout=LIMIT).send("GET", "/")
    assert not caught.value.late


def test_a_late_answer() -> None:
    with peer(b"", silent=True) as (_, url), pytest.raises(NoAnswer, match="time limit") as caught:
        Target(url, timeout=LIMIT).send("GET", "/", timeout=0.05)
    assert caught.value.late


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 90000\r\n\r\n", b"a"),
    ],
)
@pytest.mark.slow
def test_an_answer_that_never_ends(first: bytes, again: bytes) -> None:
    """Each byte comes in time."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(first)
            while not over.wait(0.02):
                connection.sendall(again)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        target = Target(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=2)
        try:
            if b"404" in first:
                assert not target.send("GET", "/").whole
            else:
                with pytest.raises(NoAnswer, match="time limit") as caught:
                    target.send("GET", "/")
                assert caught.value.late
        finally:
            over.set()
            thread.join(LIMIT)


def test_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoAnswer, match=r"no connection \(ConnectionRefusedError\)"):
        Target(f"http://127.0.0.1:{port}", timeout=LIMIT).send("GET", "/")


def test_tls_is_spoken_to_https() -> None:
    """A server that speaks no TLS cannot answer; that it was asked in TLS shows in its first byte."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        came: list[bytes] = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                came.append(connection.recv(1))
                connection.sendall(OK)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(NoAnswer, match="speaks plain HTTP at this port"):
            Target(url, timeout=LIMIT, tls=ssl.create_default_context()).send("GET", "/")
        thread.join(LIMIT)
    assert came == [b"\x16"]


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000", "ftp://host", "http://", "http://host:port", "http://host/?a=b", "http://h/#a"],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        Target(url)
