"""The connection of one turn between a gateway and an actor: frames, and the files that come with them.

On one machine it is a Unix socket that no folder lists (unix(7), abstract), and files cross by their
descriptors: nothing is copied. Elsewhere it is TCP, and the bytes of each file follow its frame: the kernel
takes them from one file and puts them into another (sendfile(2), splice(2)).

Each end shows the other a word that came to both by another way, and that serves once: whoever else finds
the door, or takes an actor's port over, is told nothing. TCP is encrypted, and both ends show certificates,
where Ray's own connections are and do: with the same files.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import secrets
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from inference_gateway.execution.process.frames import (
    Begun,
    Frame,
    PeerGone,
    Piece,
    complete,
    in_bytes,
    receive,
    send,
)
from inference_gateway.payload.spool import unlinked_file, write_at

WORD = 32  # bytes

_AT_ONCE = 1 << 20  # bytes of a file
_PATIENCE = 5.0  # seconds for a connection, and for the word of who comes
_ANSWER_SECONDS = 15.0  # the actor may still be at the end of a turn
_KEEP_ALIVE = (  # a node that is gone without a word is missed within half a minute (tcp(7))
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


class Address(NamedTuple):
    """Where an actor is met: `name` on its own machine, `host` and `port` from others."""

    name: str
    host: str
    port: int


class Link:
    """One end. `folder`: where files go whose bytes come, without a name; None for memory."""

    def __init__(self, sock: socket.socket, folder: Path | None) -> None:
        self._sock = sock
        self._by_descriptor = sock.family == socket.AF_UNIX
        self._folder = folder

    def send(self, piece: Piece) -> None:
        """Send a frame; its descriptors stay the caller's. Raises `PeerGone`."""
        if self._by_descriptor:
            send(self._sock, *piece)
            return
        sizes = [os.fstat(each).st_size for each in piece.descriptors]
        try:
            self._sock.sendall(in_bytes(piece.head | {"files": sizes}, piece.payload))
            for descriptor, size in zip(piece.descriptors, sizes, strict=True):
                self._send_file(descriptor, size)
        except OSError as error:
            raise PeerGone from error

    def receive(self, seconds: float | None = None) -> Frame:
        """Wait for a frame, no longer than `seconds` for its begin. Its descriptors are the caller's.

        Raises `PeerGone`, `TimeoutError`, and `OSError` where a file has no room.
        """
        if seconds is not None and not _can_be_read(self._sock, seconds):
            raise TimeoutError
        if self._by_descriptor:
            return receive(self._sock)
        frame = complete(self._sock, Begun(b"", []))
        try:
            for size in frame.head.pop("files"):
                frame.descriptors.append(self._receive_file(size))
        except BaseException:
            frame.close()
            raise
        return frame

    def _send_file(self, descriptor: int, size: int) -> None:
        offset = 0
        while offset < size:
            room = min(_AT_ONCE, size - offset)
            if isinstance(self._sock, ssl.SSLSocket):
                block = os.pread(descriptor, room, offset)
                self._sock.sendall(block)
                sent = len(block)
            else:
                sent = os.sendfile(self._sock.fileno(), descriptor, offset, size - offset)
            if not sent:
                raise PeerGone("a file became shorter while it was sent")
            offset += sent

    def _receive_file(self, size: int) -> int:
        if self._folder is None:
            descriptor = os.memfd_create("result", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        else:
            descriptor = unlinked_file(self._folder)
        try:
            if isinstance(self._sock, ssl.SSLSocket):
                _copy(self._sock, descriptor, size)
            else:
                _move(self._sock, descriptor, size)
            if self._folder is None:
                fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)  # as what it stands for
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @property
    def is_over(self) -> bool:
        """Whether the other side has gone. Between an answer and the next question, when nothing comes."""
        return _can_be_read(self._sock, 0)

    def hang_up(self) -> None:
        """Have whoever waits at either end notice that it is over. From any thread."""
        with suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self._sock.close()


class Door:
    """Where an actor waits for the gateway that has the turn.

    `host`: the node's address. `ports`: the first and the last that may be taken, 0 for any. `folder`: as of
    a `Link`. Raises `OSError` where no port is free.
    """

    def __init__(self, host: str, ports: tuple[int, int], folder: Path) -> None:
        self._folder = folder
        self._security = security(server=True)
        self._far = _listening(host, ports)
        name = f"inference-gateway-{secrets.token_hex(16)}"
        self._near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._near.bind(f"\0{name}")
        self._near.listen()
        self.address = Address(name, host, self._far.getsockname()[1])

    def let_in(self, word: bytes, answer: bytes, seconds: float) -> Link:
        """Wait for who has the word, and answer it. Raises `TimeoutError`."""
        until = time.monotonic() + seconds
        listeners = {each.fileno(): each for each in (self._near, self._far)}
        poll = select.poll()
        for number in listeners:
            poll.register(number, select.POLLIN)
        while (left := until - time.monotonic()) > 0:
            for number, _ in poll.poll(left * 1000):
                with suppress(OSError, PeerGone):  # it was a stranger
                    return self._meet(listeners[number], word, answer)
        raise TimeoutError

    def close(self) -> None:
        """Let nobody in any more."""
        self._near.close()
        self._far.close()

    def _meet(self, listener: socket.socket, word: bytes, answer: bytes) -> Link:
        sock, _ = listener.accept()
        try:
            sock.settimeout(_PATIENCE)
            if listener is self._far:
                _keep_alive(sock)
                if self._security is not None:
                    sock = self._security.wrap_socket(sock, server_side=True)
            _hear(sock, word)
            sock.sendall(answer)
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise
        return Link(sock, self._folder)


def reach(address: Address, *, by_network: bool = False) -> socket.socket:
    """Connect to an actor, which need not look up for that. `by_network`: also on one machine.

    Raises `OSError` where it cannot be reached.
    """
    if not by_network:
        near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        near.settimeout(_PATIENCE)
        try:
            near.connect(f"\0{address.name}")
            return near
        except OSError:  # it is on another machine, or in a network namespace of its own
            near.close()
    far = socket.create_connection((address.host, address.port), _PATIENCE)
    _keep_alive(far)
    return far


def knock(sock: socket.socket, address: Address, word: bytes, answer: bytes) -> Link:
    """Return the gateway's end of a link, over the connection that `reach` gave, which is its own now.

    Raises `OSError` where nobody answers, `PeerGone` where somebody else does.
    """
    try:
        sock.settimeout(_ANSWER_SECONDS)
        secure = security(server=False) if sock.family != socket.AF_UNIX else None
        if secure is not None:
            sock = secure.wrap_socket(sock, server_hostname=address.host)
        sock.sendall(word)
        _hear(sock, answer)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return Link(sock, None)


def security(*, server: bool) -> ssl.SSLContext | None:
    """Return what encrypts, by the variables of Ray's own TLS; None where it is off.

    Raises `OSError` and `KeyError` where the certificates are not there.
    """
    if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(os.environ["RAY_TLS_SERVER_CERT"], os.environ["RAY_TLS_SERVER_KEY"])
    context.load_verify_locations(os.environ["RAY_TLS_CA_CERT"])
    return context


def _listening(host: str, ports: tuple[int, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    first, last = ports
    for port in range(first, last):
        with suppress(OSError):
            return socket.create_server((host, port), family=family)
    return socket.create_server((host, last), family=family)


def _keep_alive(sock: socket.socket) -> None:
    for option in _KEEP_ALIVE:
        sock.setsockopt(*option)


def _hear(sock: socket.socket, word: bytes) -> None:
    """Wait for a word. Raises `PeerGone` for another."""
    heard = b""
    while len(heard) < len(word):
        more = sock.recv(len(word) - len(heard))
        if not more:
            raise PeerGone
        heard += more
    if not hmac.compare_digest(heard, word):
        raise PeerGone


def _copy(sock: socket.socket, descriptor: int, size: int) -> None:
    """Receive a file's bytes. Raises `PeerGone`, `OSError` where there is no room."""
    buffer = memoryview(bytearray(min(_AT_ONCE, size)))
    offset = 0
    while offset < size:
        count = _at_other_end(sock.recv_into, buffer[: size - offset])
        write_at(descriptor, buffer[:count], offset)
        offset += count


def _move(sock: socket.socket, descriptor: int, size: int) -> None:
    """Receive a file's bytes without a look at them. Raises as `_copy` does."""
    source, sink = os.pipe()
    try:
        with suppress(OSError):  # the user has many pipes
            fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, _AT_ONCE)
        offset = 0
        while offset < size:
            count = _at_other_end(os.splice, sock.fileno(), sink, min(_AT_ONCE, size - offset))
            end = offset + count
            while offset < end:
                offset += os.splice(source, descriptor, end - offset, offset_dst=offset)
    finally:
        os.close(source)
        os.close(sink)


def _at_other_end(receive: Callable[..., int], *args: Any) -> int:
    """Return how many bytes have come. Raises `PeerGone`."""
    try:
        count = receive(*args)
    except OSError as error:
        raise PeerGone from error
    if not count:
        raise PeerGone
    return count


def _can_be_read(sock: socket.socket, seconds: float) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
