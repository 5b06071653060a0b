"""Certificates that can be used, and sentences on handshakes that fail, with real ones."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from inference_gateway.caller.tls import handshake_trouble, speaks_tls, tls_context
from tests.harness.listening import listening

LIMIT = 30.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def plain(answer: bytes) -> Callable[[socket.socket], object]:
    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1 << 16)

    return serve


def secured(context: ssl.SSLContext) -> Callable[[socket.socket], object]:
    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as stream:
            stream.recv(1)

    return serve


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    return context


def failure(port: int, context: ssl.SSLContext) -> BaseException:
    """What a handshake raises, as a library would wrap it."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
        try:
            with context.wrap_socket(connection, server_hostname="127.0.0.1") as stream:
                stream.sendall(b"x")
                stream.recv(1)
        except OSError as error:
            wrapped = RuntimeError("no")
            wrapped.__cause__ = error
            return wrapped
    return RuntimeError("it did not fail")


def trusting(authority: trustme.CA, path: Path) -> ssl.SSLContext:
    authority.cert_pem.write_to_path(str(path / "ca.pem"))
    return tls_context(path / "ca.pem")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_a_server_that_speaks_no_tls(answer: bytes, authority: trustme.CA, tmp_path: Path) -> None:
    with listening(plain(answer)) as (_, port):
        told = handshake_trouble(failure(port, trusting(authority, tmp_path)))
        assert not speaks_tls("127.0.0.1", port)
    assert told is not None
    assert "plain HTTP at this port" in told
    assert "http://" in told


def test_a_server_that_hangs_up(authority: trustme.CA, tmp_path: Path) -> None:
    with listening(plain(b"")) as (_, port):
        told = handshake_trouble(failure(port, trusting(authority, tmp_path)))
        assert not speaks_tls("127.0.0.1", port)
    assert told is not None
    assert "may speak plain HTTP" in told


def test_a_certificate_that_is_not_trusted(server_context: ssl.SSLContext) -> None:
    with listening(secured(server_context)) as (_, port):
        told = handshake_trouble(failure(port, tls_context()))
        assert speaks_tls("127.0.0.1", port)
    assert told is not None
    assert "not trusted" in told


def test_a_server_that_wants_a_certificate(
    authority: trustme.CA, server_context: ssl.SSLContext, tmp_path: Path
) -> None:
    server_context.verify_mode = ssl.CERT_REQUIRED
    with listening(secured(server_context)) as (_, port):
        told = handshake_trouble(failure(port, trusting(authority, tmp_path)))
        assert told is not None
        assert "certificate of the client" in told
        own = authority.issue_cert("me@example.org")
        own.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
        shown = tls_context(tmp_path / "ca.pem", tmp_path / "own.pem")
        assert handshake_trouble(failure(port, shown)) is None


def test_nobody_there_speaks_no_tls() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert not speaks_tls("127.0.0.1", bound.getsockname()[1])
    assert not speaks_tls("no such host.invalid", 1)


def test_what_is_no_failure_of_tls_has_no_sentence() -> None:
    assert handshake_trouble(ConnectionResetError()) is None


def test_certificates_of_the_environment(
    authority: trustme.CA, server_context: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with listening(secured(server_context)) as (_, port):
        assert handshake_trouble(failure(port, tls_context())) is None


def test_files_that_cannot_be_used(authority: trustme.CA, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    for arguments, says in (
        ((tmp_path / "none.pem",), "the CA certificates cannot be used"),
        ((tmp_path / "absent",), "No such file"),
        ((None, tmp_path / "none.pem"), "the client's certificate or its key cannot be used"),
        ((None, None, tmp_path / "none.pem"), "a key needs its certificate"),
    ):
        with pytest.raises(ValueError, match=f"(?i){says}"):
            tls_context(*arguments)
