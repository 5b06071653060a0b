"""The harness sees what it is there to see: otherwise every test that leans on it would pass for nothing."""

import logging
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.asgi import cuts
from tests.harness.log import LogCapture
from tests.harness.raw import Address, Connection
from tests.harness.server import left_in
from tests.harness.wire import digest, message, part, reply_bytes

HEAD = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def peer(sends: bytes) -> Iterator[Address]:
    """A server that sends some bytes to the first client and closes."""

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(sends)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()
        thread.join(30)


@pytest.mark.parametrize(
    ("sends", "body", "whole"),
    [
        (HEAD + b"Content-Length: 3\r\n\r\nabc", b"abc", True),
        (HEAD + b"Content-Length: 3\r\n\r\nab", b"ab", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc", True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"abc", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab", b"ab", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", b"abc", False),
        (HEAD + b"\r\nabc", b"abc", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n", b"", True),
    ],
)
def test_client_says_whether_an_answer_is_whole(sends: bytes, body: bytes, whole: bool) -> None:
    with peer(sends) as address, Connection(address, limit=30) as connection:
        answer = connection.read_answer()
    assert answer is not None
    assert (answer.body, answer.whole) == (body, whole)


@pytest.mark.parametrize(
    "sends",
    [
        b"HTTP/1.1 OK\r\n\r\n",
        HEAD + b"X-A : b\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: +1\r\n\r\na",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        HEAD + b"Content-Len",
        b"HTTP/1.1 2",
    ],
)
def test_client_takes_no_malformed_answer(sends: bytes) -> None:
    with peer(sends) as address, Connection(address, limit=30) as connection, pytest.raises(AssertionError):
        connection.read_answer()


def test_client_says_that_there_was_no_answer() -> None:
    with peer(b"") as address, Connection(address, limit=30) as connection:
        assert connection.read_answer() is None


def test_client_does_not_wait_for_ever() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Connection(silent.getsockname(), limit=0.1) as connection,
        pytest.raises(TimeoutError),
    ):
        connection.read_answer()


def test_log_has_messages_tracebacks_and_extras() -> None:
    logger = logging.getLogger("inference_gateway.anything")
    with LogCapture() as log:
        logger.debug("a %s", "message")
        try:
            raise ValueError("a reason")
        except ValueError:
            logger.exception("failed", extra={"what": "an extra"})
    logger.error("later")
    assert len(log.records) == 2
    assert len(log.tracebacks) == 1
    assert all(word in log.text for word in ("a message", "a reason", "an extra"))
    assert "later" not in log.text


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_files_without_a_name_are_seen(tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path):
        assert len(left_in(tmp_path)) == 1
    assert left_in(tmp_path) == []
    (tmp_path / "named").touch()
    assert left_in(tmp_path) == ["named"]


def test_cuts_put_an_empty_piece_before_each() -> None:
    assert cuts(b"abc", 2) == [b"", b"ab", b"", b"c"]
    assert cuts(b"", 1) == [b""]


def test_message_is_spelled_as_in_rfc_2046() -> None:
    written = message(part(b"{}"), part(b"x", b"A: b"))
    assert written == b"--bnd\r\n\r\n{}\r\n--bnd\r\nA: b\r\n\r\nx\r\n--bnd--\r\n"


def test_reply_is_spelled_as_in_the_contract() -> None:
    assert reply_bytes("T", {"parts": []}, [], "abc") == (
        b'--T\r\nContent-Disposition: form-data; name="json-body"; filename="json-body"\r\n'
        b'Content-Type: application/json\r\n\r\n{"parts": []}\r\n'
        b'--T\r\nContent-Disposition: form-data; name="hashes"; filename="hashes"\r\n'
        b"Content-Type: text/plain\r\n\r\nabc:" + digest(b'{"parts": []}').encode() + b"\r\n--T--\r\n"
    )
