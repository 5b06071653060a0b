"""An HTTP/1.1 client on a bare socket.

It sends exactly the bytes it is given, in the pieces they come in, and reads answers strictly: whatever the
grammar of RFC 9112 does not allow in an answer is an `AssertionError`. One time limit binds the whole life of
a connection, so a test hangs for seconds at most.
"""

import ctypes
import re
import select
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

Address = tuple[str, int]
Headers = tuple[tuple[bytes, bytes], ...]

RECEIVE_SIZE = 1 << 18
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_BPF_RET_K = 0x06  # linux/bpf_common.h: take so many bytes of a packet; none: drop it

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\t\x20-\x7e]*")
HEADER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
CHUNK_LINE = re.compile(rb"[0-9A-Fa-f]{1,16}")


@dataclass(frozen=True)
class Answer:
    """One final answer: its head, its body as far as it came, and whether that was all of it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    whole: bool
    """False where the connection ended before the body did."""
    interim: tuple[int, ...] = ()
    """The statuses of the 1xx answers before it."""

    def header(self, name: str) -> str | None:
        """The one value of a header, None where there is none; twice is an error."""
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def chunked(self) -> bool:
        return self.header("transfer-encoding") == "chunked"


class Connection(AbstractContextManager["Connection"]):
    """One TCP connection, for at most `limit` seconds."""

    def __init__(self, address: Address, *, limit: float = 20.0) -> None:
        self._deadline = time.monotonic() + limit
        self._socket = socket.create_connection(address, timeout=limit)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._came = bytearray()
        self._ended = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _arm(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time limit of the connection is over")
        self._socket.settimeout(left)

    # Sending

    def send(self, *pieces: bytes) -> None:
        """Send each piece with a call of its own."""
        for piece in pieces:
            self._arm()
            self._socket.sendall(piece)

    def send_until_closed(self, pieces: Iterable[bytes]) -> int:
        """Send until the server takes no more or the pieces are used up; how many bytes it took."""
        taken = 0
        for piece in pieces:
            left = memoryview(piece)
            while left:
                self._arm()
                try:
                    count = self._socket.send(left)
                except (BrokenPipeError, ConnectionResetError):
                    return taken
                taken += count
                left = left[count:]
        return taken

    def half_close(self) -> None:
        """Send FIN: nothing more will come, but answers are still read."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST, as the kernel does for a process that was killed with unread data."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def silence(self) -> None:
        """Neither see nor acknowledge anything from now on, as if this machine had lost its power.

        No FIN, no RST, and none either when the other end sends or probes. Needs Linux's socket filters.
        """
        drop = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RET_K, 0, 0, 0))  # struct sock_filter
        program = struct.pack("HP", 1, ctypes.addressof(drop))  # struct sock_fprog
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def fileno(self) -> int:
        """Return the socket's descriptor, for `select`."""
        return self._socket.fileno()

    def take_at_most(self, size: int) -> None:
        """Have the kernel keep so many bytes that came and were not read; about that."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    # Reading

    def _more(self) -> bool:
        """Wait for more bytes; False at the end of the connection, however it ended."""
        if self._ended:
            return False
        self._arm()
        try:
            data = self._socket.recv(RECEIVE_SIZE)
        except ConnectionResetError:
            data = b""
        self._ended = not data
        self._came += data
        return bool(data)

    def read_until(self, wanted: bytes | int) -> None:
        """Receive until `wanted`, or so many bytes, are among what has not been read; it stays to be read."""
        while len(self._came) < wanted if isinstance(wanted, int) else wanted not in self._came:
            assert self._more(), "the connection ended before"

    def ends_within(self, seconds: float) -> bool:
        """Receive for so long; whether the connection has ended."""
        end = time.monotonic() + seconds
        while not self._ended and (left := end - time.monotonic()) > 0:
            if select.select([self], [], [], left)[0]:
                self._more()
        return self._ended

    def read(self, count: int) -> bytes:
        """Read the next `count` bytes, or fewer where the connection ends."""
        while len(self._came) < count and self._more():
            pass
        taken = bytes(self._came[:count])
        del self._came[:count]
        return taken

    def _line(self) -> bytes | None:
        """The next line without its CRLF; None where the connection ends first."""
        while (end := self._came.find(b"\r\n")) < 0:
            if not self._more():
                return None
        line = bytes(self._came[:end])
        del self._came[: end + 2]
        return line

    def rest(self) -> bytes:
        """Everything up to the end of the connection, for which it waits."""
        while self._more():
            pass
        came = bytes(self._came)
        self._came.clear()
        return came

    def read_interim(self) -> int:
        """The status of an answer that has nothing but a status line, such as 100."""
        line = self._line()
        assert line is not None, "the connection ended before an interim answer"
        status = _status(line)
        assert status < 200, f"{status} where an interim answer was awaited"
        assert self._line() == b""
        return status

    def read_answer(self, *, head_only: bool = False) -> Answer | None:
        """The next final answer; None where the connection ends before its first byte.

        `head_only` is for the answer to HEAD, which has no body whatever its headers say.
        """
        interim: list[int] = []
        while (line := self._line()) is not None:
            status = _status(line)
            headers = self._headers()
            if status < 200:
                interim.append(status)
                continue
            body, whole = (b"", True) if head_only or status in (204, 304) else self._body(headers)
            return Answer(status, headers, body, whole, tuple(interim))
        assert not self._came, "the connection ended within a status line"
        return None

    def _headers(self) -> tuple[tuple[str, str], ...]:
        headers = []
        while line := self._line():
            match = HEADER_LINE.fullmatch(line)
            assert match, "malformed header line in the answer"
            headers.append((match[1].decode().lower(), match[2].decode("latin-1")))
        assert line is not None, "the connection ended within the head of an answer"
        return tuple(headers)

    def _body(self, headers: tuple[tuple[str, str], ...]) -> tuple[bytes, bool]:
        lengths = [value for name, value in headers if name == "content-length"]
        encodings = [value for name, value in headers if name == "transfer-encoding"]
        assert len(lengths) + len(encodings) <= 1, "an answer says twice how long it is"
        if encodings:
            assert encodings == ["chunked"]
            return self._chunks()
        if lengths:
            assert re.fullmatch("[0-9]+", lengths[0]), "malformed Content-Length in the answer"
            body = self.read(int(lengths[0]))
            return body, len(body) == int(lengths[0])
        return self.rest(), True

    def _chunks(self) -> tuple[bytes, bool]:
        body = bytearray()
        while (line := self._line()) is not None:
            assert CHUNK_LINE.fullmatch(line), "malformed chunk size in the answer"
            size = int(line, 16)
            chunk = self.read(size)
            body += chunk
            end = self.read(2)
            if len(chunk) < size or len(end) < 2:
                break
            assert end == b"\r\n", "a chunk of the answer does not end with CRLF"
            if size == 0:
                return bytes(body), True
        return bytes(body), False


def _status(line: bytes) -> int:
    match = STATUS_LINE.fullmatch(line)
    assert match, "malformed status line"
    return int(match[1])


def head(headers: Headers, *, method: bytes = b"POST", target: bytes = b"/") -> bytes:
    """The head of a request, with a Host line."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return method + b" " + target + b" HTTP/1.1\r\nHost: gateway.test\r\n" + lines + b"\r\n"


def request(
    headers: Headers, body: bytes, *, chunk: int = 0, method: bytes = b"POST", target: bytes = b"/"
) -> bytes:
    """A whole request, with a Content-Length or, where `chunk` is given, in chunks of that many bytes."""
    if not chunk:
        length = ((b"Content-Length", b"%d" % len(body)),)
        return head(headers + length, method=method, target=target) + body
    coding = ((b"Transfer-Encoding", b"chunked"),)
    return head(headers + coding, method=method, target=target) + b"".join(chunked(body, chunk))


def chunked(body: bytes, size: int) -> list[bytes]:
    """A body in chunks of `size` bytes, and the last chunk."""
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    return [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks] + [b"0\r\n\r\n"]


def exchange(address: Address, *pieces: bytes, limit: float = 20.0, head_only: bool = False) -> Answer | None:
    """Send the pieces on a connection of their own and read one answer."""
    with Connection(address, limit=limit) as connection:
        connection.send(*pieces)
        return connection.read_answer(head_only=head_only)
