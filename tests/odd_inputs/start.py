"""`start` and Content-ID: which part is the root."""

from tests.harness.raw import Headers
from tests.odd_inputs.table import AB, BB, GOOD, JB, A, Accepted, F, N, Refused, Row, Z, typed

START = "request: start names the root part"
FIRST = "request: first part is the root without start"
NOBODY = "refused: start empty or naming no part"
TWICE = "refused: Content-ID used twice"


def start(value: bytes) -> Headers:
    return typed(b"multipart/related; boundary=bnd; start=" + value)


def identified(identity: bytes, body: bytes) -> bytes:
    return b"Content-ID: " + identity + b"\r\n\r\n" + body


ROOT_LAST = F + N.join((identified(b"<a>", AB), identified(b"<b>", BB), identified(b"<root>", JB))) + Z

ROWS = [
    Row(
        "start names the third part",
        ROOT_LAST,
        Accepted((AB, BB), place=2),
        start(b'"<root>"'),
        pins=(START,),
    ),
    Row(
        "start names the second part",
        F + identified(b"<a>", AB) + N + identified(b"<root@x.test>", JB) + N + b"\r\n" + BB + Z,
        Accepted((AB, BB), place=1),
        start(b'"<root@x.test>"'),
        pins=(START,),
    ),
    Row(
        "start names the first part",
        F + identified(b"<root>", JB) + N + A + Z,
        Accepted((AB,)),
        start(b'"<root>"'),
        pins=(START,),
    ),
    Row(
        "start before the boundary",
        ROOT_LAST,
        Accepted((AB, BB), place=2),
        typed(b'multipart/related; start="<root>"; type="application/json"; boundary=bnd'),
        pins=(START, "request: parameters in any order"),
    ),
    Row("start names no part", ROOT_LAST, Refused(400), start(b'"<nobody>"'), pins=(NOBODY,)),
    Row("start names no part, SECRET", ROOT_LAST, Refused(400), start(b'"<SECRET>"'), pins=(NOBODY,)),
    Row("start where no part has a Content-ID", GOOD, Refused(400), start(b'"<json>"'), pins=(NOBODY,)),
    Row("start empty, quoted", ROOT_LAST, Refused(400), start(b'""'), pins=(NOBODY,)),
    Row(
        "start empty, quoted, and a part with an empty Content-ID",
        F + identified(b"", JB) + N + A + Z,
        Refused(400),
        start(b'""'),
        pins=(NOBODY,),
    ),
    Row("start names a part that is not JSON", ROOT_LAST, Refused(400), start(b'"<b>"')),
    Row("first part is not JSON, no start", ROOT_LAST, Refused(400), pins=(FIRST,)),
    Row(
        "Content-ID twice, no start",
        F + identified(b"<a>", JB) + N + identified(b"<a>", AB) + Z,
        Refused(400),
        pins=(TWICE,),
    ),
    Row(
        "Content-ID twice, start names another",
        F + N.join((identified(b"<a>", AB), identified(b"<a>", BB), identified(b"<root>", JB))) + Z,
        Refused(400),
        start(b'"<root>"'),
        pins=(TWICE,),
    ),
]
