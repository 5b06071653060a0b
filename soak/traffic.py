"""What the clients of the soak do, good and bad, and what must come of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tests.harness.raw import Address, Answer, Connection, Headers, chunked, exchange, head, request
from tests.harness.wire import check_problem, message, part

SECRET = b"SECRET"
MIB = 1 << 20
TYPE: Headers = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
PIXELS = bytes(range(256)) * 512  # 128 KiB


def body(do: bytes, *inputs: bytes) -> bytes:
    named = b'Content-Disposition: form-data; name="a"; filename="' + SECRET + b'.dcm"'
    root = b'{"do": "%s", "patient": "%s"}' % (do, SECRET)
    return message(part(root), *(part(each, named) for each in inputs))


def expect(answer: Answer | None, status: int) -> None:
    if status == 200:
        assert answer is not None, "no answer"
        assert (answer.status, answer.whole) == (200, True), (answer.status, answer.body[:200])
    else:
        check_problem(answer, (status, 503))


def asks(status: int, *pieces: bytes) -> Callable[[Address], None]:
    """A request that is answered so (or with 503, where it is refused anyway and the server is busy)."""

    def ask(address: Address) -> None:
        expect(exchange(address, *pieces, limit=60), status)

    return ask


def leaves(*pieces: bytes, reset: bool) -> Callable[[Address], None]:
    """A client that sends so much and goes."""

    def leave(address: Address) -> None:
        with Connection(address, limit=60) as connection:
            connection.send(*pieces)
            if reset:
                connection.reset()

    return leave


def keeps_alive(address: Address) -> None:
    """Five requests on one connection, good and bad by turns."""
    with Connection(address, limit=60) as connection:
        for turn in range(5):
            connection.send(request(TYPE, body(b"answer" if turn % 2 == 0 else b"raise", b"x")))
            expect(connection.read_answer(), 200 if turn % 2 == 0 else 500)


def tidies_up(address: Address) -> int:
    """Has the server at rest free what it can; how many blocks of memory Python's objects take then."""
    answer = exchange(address, request((*TYPE, (b"Connection", b"close")), body(b"tidy up")), limit=60)
    assert answer is not None
    found = re.search(rb'"blocks": (\d+)', answer.body)
    assert found, answer.body[:200]
    return int(found[1])


LARGE = body(b"answer", PIXELS * 24)  # 3 MiB: a spool file
HALF = request(TYPE, LARGE)[: MIB + 5000]
SMALL = body(b"answer", b"x" * 100)
TRAFFIC: Mapping[str, Callable[[Address], None]] = {
    "small": asks(200, request(TYPE, SMALL)),
    "in chunks": asks(200, request(TYPE, body(b"answer", PIXELS), chunk=7000)),
    "streamed answer": asks(200, request(TYPE, body(b"stream", PIXELS))),
    "large, through a file": asks(200, request(TYPE, LARGE)),
    "many parts": asks(200, request(TYPE, body(b"answer", *[b"y"] * 300))),
    "on one connection": keeps_alive,
    "probe": asks(200, head((), method=b"GET", target=b"/ping")),
    "metrics": asks(200, head((), method=b"GET", target=b"/metrics")),
    "no route": asks(404, head((), method=b"GET", target=b"/none")),
    "broken HTTP": asks(400, b"GARBAGE\r\n\r\n"),
    "header too large": asks(431, head(((b"X", b"v" * 40_000),))),
    "another type": asks(400, request(((b"Content-Type", b"text/plain"),), PIXELS)),
    "too large": asks(413, head((*TYPE, (b"Content-Length", b"9" * 12))), PIXELS),
    "cut short": asks(400, request(TYPE, SMALL[:-20])),
    "no JSON": asks(400, request(TYPE, message(part(b'{"SECRET')))),
    "another boundary": asks(400, request(TYPE, LARGE.replace(b"--bnd", b"--abc"))),
    "the model raises": asks(500, request(TYPE, body(b"raise", PIXELS))),
    "leaves in mid-header": leaves(b"POST / HTTP/1.1\r\nHos", reset=False),
    "leaves in mid-body": leaves(HALF, reset=False),
    "resets in mid-body": leaves(HALF, reset=True),
    "resets in a chunk": leaves(
        head((*TYPE, (b"Transfer-Encoding", b"chunked"))), *chunked(SMALL, 50)[:2], b"5\r\n", reset=True
    ),
    "leaves the model": leaves(request(TYPE, body(b"wait", PIXELS)), reset=False),
    "resets the answer": leaves(request(TYPE, LARGE), reset=True),
}
"""Name → what one client does. Raises where what came back is not what must come."""
