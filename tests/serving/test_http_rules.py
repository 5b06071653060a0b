"""Rules of RFC 9112 for a request's header: as a table, and over a socket."""

from pathlib import Path

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.serving.http_rules import broken_rule
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.harness.raw import Connection, exchange
from tests.harness.serving import PING, nothing
from tests.harness.wire import check_problem

HOSTS = [
    (b"", True),
    (b"a", True),
    (b" a\t", True),
    (b"gateway.test:8000", True),
    (b"my_host-1.test:", True),
    (b"127.0.0.1:80", True),
    (b"[::1]", True),
    (b"[::ffff:1.2.3.4]:8000", True),
    (b"[v1.a:b]", True),
    (b"a%2Fb", True),
    (b"a b", False),
    (b"a, b", False),
    (b"a/b", False),
    (b"user@a", False),
    (b"http://a", False),
    (b"a:b", False),
    (b"a:1:2", False),
    (b"::1", False),
    (b"[::1", False),
    (b"[:::]", False),
    (b"[::g]", False),
    (b"[1.2.3.4]", False),
    (b"a%2", False),
    (b"a\xe4", False),
    (b"a?b", False),
    (b'"a"', False),
    (b"a\\b", False),
]


@pytest.mark.parametrize(("value", "sound"), HOSTS)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_what_a_host_may_be(value: bytes, sound: bool, version: str) -> None:
    assert (broken_rule(version, [(b"x", b"y"), (b"host", value)]) is None) == sound


@pytest.mark.parametrize(
    ("version", "headers", "sound"),
    [
        ("1.1", [], False),
        ("1.0", [], True),
        ("1.1", [(b"host", b"a"), (b"host", b"a")], False),
        ("1.0", [(b"host", b"a"), (b"host", b"b")], False),
        ("1.0", [(b"transfer-encoding", b"chunked")], False),
        ("1.1", [(b"host", b"a"), (b"transfer-encoding", b"chunked")], True),
        ("0.9", [], False),
        ("0.9", [(b"host", b"a")], False),
        ("2.0", [(b"host", b"a")], False),
    ],
)
def test_rules(version: str, headers: list[tuple[bytes, bytes]], sound: bool) -> None:
    assert (broken_rule(version, headers) is None) == sound


LINE, HOST = b"GET /ping HTTP/1.1\r\n", b"Host: a\r\n"
CHUNKED = b"POST /ping HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED = {
    "no Host": LINE + b"\r\n",
    "two": LINE + HOST + HOST + b"\r\n",
    "two, of other case": LINE + HOST + b"hOST: b\r\n\r\n",
    "malformed": LINE + b"Host: a b\r\n\r\n",
    "no Host beside a whole target": b"GET http://a/ping HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /ping\r\n\r\n",
    "HTTP/0.9 with a Host": b"GET /ping\r\n" + HOST + b"\r\n",
    "HTTP/2": b"GET /ping HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.0, chunked": b"POST /ping HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "blank before the colon": LINE + HOST + b"X-A : b\r\n\r\n",
    "blank before Content-Length's colon": LINE + HOST + b"Content-Length : 3\r\n\r\nabc",
    "folded": LINE + HOST + b"X-A: b\r\n c\r\n\r\n",
    "folded Transfer-Encoding": LINE + HOST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "LF": LINE + b"Host: a\nX-A: b\r\n\r\n",
    "LF only": b"GET /ping HTTP/1.1\nHost: a\n\n",
    "CR": LINE + b"Host: a\rX-A: b\r\n\r\n",
    "blank before the first field": LINE + b" " + HOST + b"\r\n",
    "chunked, identity": LINE + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding that looks like chunked": LINE + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "no coding": LINE + HOST + b"Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc",
    "length twice, the same": LINE + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": LINE + HOST + b"Content-Length: 3, 3\r\n\r\nabc",
    "chunk size and a blank": CHUNKED + b"5 \r\nabcde\r\n0\r\n\r\n",
    "hexadecimal chunk size": CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n",
    "LF behind a chunk size": CHUNKED + b"5\nabcde\r\n0\r\n\r\n",
    "LF in a chunk extension": CHUNKED + b"5;a\nb\r\nabcde\r\n0\r\n\r\n",
    "chunk size of 65 bits": CHUNKED + b"10000000000000005\r\nabcde\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
@pytest.mark.slow
def test_what_is_refused_over_a_socket(sent: bytes, serve: Serve, spool_dir: Path) -> None:
    """Refused, and the connection closed: what follows might be another's request."""
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", nothing)
    running = serve(app, make_server(app, port=0))
    with Connection(running.address) as connection:
        connection.send(sent)
        answer = connection.read_answer()
        if not sent.startswith(b"POST /ping HTTP/1.1"):  # whose answer does not wait for its body
            check_problem(answer, 400)
        assert b"HTTP/1.1 2" not in connection.rest()
    answer = exchange(running.address, PING)
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize(
    "sent", [b"GET /ping HTTP/1.0\r\n\r\n", b"GET /ping HTTP/1.1\r\nhost:\r\n\r\n"], ids=["1.0", "empty Host"]
)
def test_what_is_taken_over_a_socket(sent: bytes, serve: Serve, spool_dir: Path) -> None:
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    running = serve(app, make_server(app, port=0))
    answer = exchange(running.address, sent)
    assert answer is not None
    assert answer.status == 200
