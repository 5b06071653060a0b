"""One request and its answer, header by header, on a connection of its own.

`http.client` sends exactly the headers it is given and reads an answer also where the body was never sent,
or where the other side closed while it was.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from inference_gateway.caller.cutoff import Cutoff
from inference_gateway.caller.tls import handshake_trouble, speaks_tls

Headers = tuple[tuple[str, str], ...]

BLOCK = 1 << 20
_KEPT = 1 << 20  # bytes of an answer that are kept where nobody takes them


class NoAnswer(Exception):
    """No answer came; the message says how that showed. `late`: the time limit passed."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


@dataclass(frozen=True)
class Answer:
    """An answer as far as it came. `body` is empty where it was handed to a sink."""

    status: int
    headers: Headers
    body: bytes
    whole: bool
    """False where the connection ended before the body did."""
    interrupted: bool = False
    """True where the connection was closed while the request's body was being sent."""

    def header(self, name: str) -> str | None:
        """Return the values of a header, joined as RFC 9110 §5.3 has it; None where there is none."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def essence(self) -> str:
        """Return its media type without parameters, in lower case."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


class Target:
    """A gateway by its URL.

    `url`: `http://host:port`, or https, with the path that an ingress puts before the routes if there is
    one. `headers`: sent with every request. `timeout`: seconds for each wait on the socket, and for the
    answer to begin. `tls`: for https. Raises `ValueError` where `url` is none.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Headers = (),
        timeout: float = 660.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("the URL must look like http://127.0.0.1:8000 or https://host/path")
        self._host, self._port = parts.hostname, parts.port
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._base = parts.path.rstrip("/")
        self._headers = headers
        self._timeout = timeout

    def speaks_tls(self) -> bool:
        """Return whether TLS is spoken where this speaks plain HTTP. Blocks."""
        return self._tls is None and speaks_tls(self._host, self._port or 80)

    def send(
        self,
        method: str,
        path: str,
        headers: Headers = (),
        body: Iterable[bytes] = (),
        *,
        timeout: float | None = None,
        sink: Callable[[bytes], object] | None = None,
    ) -> Answer:
        """Send one request, exactly these headers besides Host and Connection, and read the answer.

        `body` goes out as it is: the headers say how long it is. `sink` takes the body of a 200 in blocks.
        Raises `NoAnswer` where not even the head of an answer came.
        """
        seconds = timeout or self._timeout
        connection = self._connection(seconds)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            why = handshake_trouble(error) or type(error).__name__
            raise NoAnswer(f"there is no connection ({why})") from error
        limit = Cutoff()
        try:
            connection.putrequest(method, self._base + path, skip_accept_encoding=True)
            for name, value in (*self._headers, *headers, ("Connection", "close")):
                connection.putheader(name, value)
            connection.endheaders()
            interrupted = False
            try:
                for block in body:
                    connection.send(block)
            except (BrokenPipeError, ConnectionResetError):
                interrupted = True  # perhaps it has answered
            limit.start(seconds, connection.sock)
            with connection.getresponse() as response:
                if limit.passed:  # http.client takes a head that ends in the middle of a header
                    raise TimeoutError
                if sink is not None and response.status == 200:  # it is as long as it is
                    limit.stop()
                return replace(_read(response, sink), interrupted=interrupted)
        except (OSError, http.client.HTTPException) as error:
            if limit.passed or isinstance(error, TimeoutError):
                raise NoAnswer("no answer came within the time limit", late=True) from None
            why = handshake_trouble(error) or type(error).__name__
            raise NoAnswer(f"the connection ended without an answer ({why})") from error
        finally:
            limit.stop()
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)


def _read(response: http.client.HTTPResponse, sink: Callable[[bytes], object] | None) -> Answer:
    kept = bytearray()
    take = sink if sink is not None and response.status == 200 else kept.extend
    whole = True
    try:
        while block := response.read(BLOCK):
            if take == sink or len(kept) < _KEPT:
                take(block)
        whole = not response.length  # what a Content-Length announced and did not come
    except http.client.IncompleteRead as error:
        take(error.partial)
        whole = False
    except (OSError, http.client.HTTPException):
        whole = False
    return Answer(response.status, tuple(response.getheaders()), bytes(kept), whole)
