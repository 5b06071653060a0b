"""HTTP: what is odd below the multipart message. Each row is one request as bytes, sent in one piece."""

import ssl
from contextlib import suppress
from dataclasses import dataclass, field

from tests.odd_inputs.table import AB, BB, GOOD, RELATED, Accepted, Refused, accept

SIZE = b"Content-Length: 238"
CHUNKED = b"Transfer-Encoding: chunked"
assert len(GOOD) == 238

METHODS = "routes: other methods 405 with Allow"
PATHS = "routes: other paths 404"
TRANSFER = "request: Content-Length or chunked"


@dataclass(frozen=True)
class HttpRow:
    """A request by its first line, its headers but for Host and Content-Type, and what follows the head."""

    name: str
    line: bytes
    headers: tuple[bytes, ...]
    body: bytes
    expected: Accepted | Refused
    by_server: bool = False
    """The HTTP server may answer itself, in its own form."""
    or_closed: bool = False
    """A closed connection is as good an answer."""
    allow: bool = False
    pins: tuple[str, ...] = field(default=())

    @property
    def sent(self) -> bytes:
        lines = (self.line, b"Host: gateway.test", b"Content-Type: " + RELATED, *self.headers)
        return b"".join(line + b"\r\n" for line in lines) + b"\r\n" + self.body

    @property
    def method(self) -> bytes:
        return self.line.partition(b" ")[0]


@dataclass(frozen=True)
class Bytes(HttpRow):
    """What is no HTTP request at all."""

    @property
    def sent(self) -> bytes:
        return self.body


def one_chunk(size: bytes = b"ee", end: bytes = b"\r\n0\r\n\r\n") -> bytes:
    return size + b"\r\n" + GOOD + end


def client_hello() -> bytes:
    """The first flight of a TLS client."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="gateway.test")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


POST = b"POST / HTTP/1.1"
BOTH = accept(AB, BB)


def length(name: str, *headers: bytes, body: bytes = GOOD, by_server: bool = True) -> HttpRow:
    return HttpRow(f"HTTP: {name}", POST, headers, body, Refused(400), by_server=by_server)


def target(name: str, written: bytes, expected: Accepted | Refused, *pins: str) -> HttpRow:
    return HttpRow(f"HTTP: target {name}", b"POST %s HTTP/1.1" % written, (SIZE,), GOOD, expected, pins=pins)


ROWS = [
    length("Content-Length negative", b"Content-Length: -238"),
    length("Content-Length with a plus", b"Content-Length: +238"),
    length("Content-Length garbage", b"Content-Length: abc"),
    HttpRow(
        "HTTP: Content-Length of 9 GB, no body sent",
        POST,
        (b"Content-Length: 9000000000",),
        b"",
        Refused(413),
        pins=("refused: body over its limit", "aftermath: early answer seen while still sending"),
    ),
    length("Content-Length twice, different", SIZE, b"Content-Length: 237"),
    length("Content-Length shorter than the body", b"Content-Length: 235"),
    length("Content-Length 0", b"Content-Length: 0", body=b"", by_server=False),
    length("neither length nor chunked", body=b"", by_server=False),
    HttpRow("HTTP: one chunk", POST, (CHUNKED,), one_chunk(), BOTH, pins=(TRANSFER,)),
    HttpRow("HTTP: chunk size in capitals with leading zeros", POST, (CHUNKED,), one_chunk(b"000EE"), BOTH),
    HttpRow(
        "HTTP: chunk extensions",
        POST,
        (CHUNKED,),
        one_chunk(b'ee;a=b;c="d;e"', b"\r\n0;z\r\n\r\n"),
        BOTH,
    ),
    HttpRow(
        "HTTP: trailers",
        POST,
        (CHUNKED, b"Trailer: X-T"),
        one_chunk(end=b"\r\n0\r\nX-T: v\r\nX-U: w\r\n\r\n"),
        BOTH,
    ),
    *[
        HttpRow(f"HTTP: {name}", POST, (CHUNKED,), body, Refused(400), by_server=True, or_closed=True)
        for name, body in (
            ("chunk size not a number", one_chunk(b"zz")),
            ("chunk size negative", one_chunk(b"-ee")),
            ("no CRLF behind a chunk", one_chunk(end=b"XX0\r\n\r\n")),
        )
    ],
    HttpRow(
        "HTTP: Content-Length and chunked together",
        POST,
        (SIZE, CHUNKED),
        one_chunk(),
        Refused(400),
        by_server=True,
    ),
    HttpRow(
        "HTTP: Transfer-Encoding gzip, chunked",
        POST,
        (b"Transfer-Encoding: gzip, chunked",),
        one_chunk(),
        Refused((400, 415, 501)),
        by_server=True,
    ),
    HttpRow("HTTP: version 1.0", b"POST / HTTP/1.0", (SIZE,), GOOD, BOTH, pins=(TRANSFER,)),
    HttpRow(
        "HTTP: method in lower case",
        b"post / HTTP/1.1",
        (SIZE,),
        GOOD,
        Refused((400, 405, 501)),
        by_server=True,
    ),
    HttpRow("HTTP: absolute-form target", b"POST http://gateway.test/ HTTP/1.1", (SIZE,), GOOD, BOTH),
    HttpRow("HTTP: NUL in a header", POST, (SIZE, b"X-A: a\0b"), GOOD, Refused(400), by_server=True),
    HttpRow(
        "HTTP: WebSocket handshake on the route",
        b"GET / HTTP/1.1",
        (
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            b"Sec-WebSocket-Version: 13",
        ),
        b"",
        Refused((400, 403, 404, 405, 426)),
        by_server=True,
    ),
    Bytes("HTTP: TLS hello", b"", (), client_hello(), Refused(400), by_server=True, or_closed=True),
    *[
        HttpRow(
            f"HTTP: {method.decode()} on the route",
            method + b" / HTTP/1.1",
            (SIZE,),
            GOOD,
            Refused(405),
            allow=True,
            pins=(METHODS,),
        )
        for method in (b"GET", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"PATCH")
    ],
    target("with a query", b"/?a=1&b=%20;", BOTH),
    target("with a query that has SECRET", b"/?a=SECRET", BOTH),
    target("with a percent-encoded letter", b"/%65cho", BOTH),
    target("with a trailing slash", b"/echo/", Refused(404), PATHS),
    target("two slashes", b"//", Refused(404), PATHS),
    target("unknown", b"/no/such", Refused(404), PATHS),
    target("unknown that has SECRET", b"/no/SECRET", Refused(404), PATHS),
]
