"""Boundaries and the parameters of the request's Content-Type."""

import string

from tests.harness.raw import Headers
from tests.odd_inputs.table import AB, BB, GOOD, Refused, Row, accept, good, shown, typed

BOTH = accept(AB, BB)
NO = Refused(400)
PREFIX = b"multipart/related; "
LETTERS = (string.ascii_letters + string.digits).encode()
# RFC 2046 §5.1.1: bchars := bcharsnospace / " "
BCHARS = (string.digits + string.ascii_letters + "'()+_,-./:=? ").encode()
NOT_BCHARS = b'!"#$%&*;<>@[\\]^`{|}~\t'
NEEDS_QUOTES = b'"\\'

QUOTING = "tolerated: boundary quoted or not"
LENGTH = "tolerated: boundary of 1 to 200 characters"
CHARACTERS = "tolerated: every boundary character of RFC 2046"
ORDER = "request: parameters in any order"
QUOTED = "request: parameters quoted or not"

EMPTY = "refused: boundary empty"
TWICE = "refused: parameter twice"
HALF = "refused: parameter without a name or a value"
BLANKS = "refused: blanks around the = of a parameter"
QUOTES = "refused: unterminated quotes or text after them"
OUTSIDE = "refused: boundary character outside RFC 2046"


def headers(parameters: bytes) -> Headers:
    return typed(PREFIX + parameters)


def quoted(value: bytes) -> bytes:
    """A quoted-string (RFC 9110 §5.6.4)."""
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def of_length(length: int) -> bytes:
    return (LETTERS * 4)[:length]


def with_boundary(name: str, written: bytes, boundary: bytes, *pins: str) -> Row:
    """A good message with this boundary, which the header writes so."""
    return Row(name, good(boundary), BOTH, headers(b"boundary=" + written), pins=pins)


def with_parameters(name: str, parameters: bytes, *pins: str) -> Row:
    """`GOOD` under parameters that come to its boundary."""
    return Row(name, GOOD, BOTH, headers(parameters), pins=pins)


def refused(name: str, parameters: bytes, *pins: str, body: bytes = GOOD) -> Row:
    return Row(name, body, NO, headers(parameters), pins=pins)


TAKEN = [
    *[
        with_boundary(f"boundary of {n} character(s)", of_length(n), of_length(n), LENGTH)
        for n in (1, 2, 70, 73, 199, 200)
    ],
    *[
        with_boundary(f"boundary: allowed {shown(ch)!r}, quoted", quoted(value), value, CHARACTERS)
        for ch in (bytes([code]) for code in BCHARS)
        for value in (b"a" + ch + b"z",)
    ],
    with_boundary("boundary: = in it, not quoted", b"a=z", b"a=z"),
    with_boundary(
        "boundary as curl makes it",
        b"------------------------d74496d66958873e",
        b"------------------------d74496d66958873e",
    ),
    with_boundary(
        "boundary as Python makes it, quoted",
        b'"===============0123456789012345678=="',
        b"===============0123456789012345678==",
        QUOTING,
    ),
    with_boundary("boundary of two dashes", b"--", b"--"),
    with_boundary("boundary with a space inside, quoted", b'"two words"', b"two words", QUOTING),
    with_boundary("boundary in single quotes, which belong to it", b"'bnd'", b"'bnd'"),
    with_boundary("boundary of 200 characters, quoted", quoted(of_length(200)), of_length(200), LENGTH),
    with_parameters("boundary quoted without need", b'boundary="bnd"', QUOTING, QUOTED),
    with_parameters(
        "boundary with a backslash pair", b'boundary="b\\n\\d"', "request: backslash pair undone"
    ),
    Row(
        "parameters: blanks and tabs around the semicolons",
        GOOD,
        BOTH,
        typed(b"multipart/related \t; \tboundary=bnd \t;  charset=utf-8\t"),
    ),
    with_parameters("parameters: semicolon at the end", b"boundary=bnd;"),
    with_parameters("parameters: parameter name in capitals", b"BOUNDARY=bnd; Charset=UTF-8"),
    with_parameters(
        "parameters: another parameter with a quoted boundary= in it",
        b'type="x; boundary=evil"; boundary=bnd',
        ORDER,
    ),
    with_parameters(
        "parameters: another parameter with an escaped quote in it",
        b'type="x\\"; boundary=evil"; boundary=bnd',
    ),
    with_parameters(
        "parameters: type with a slash, not quoted", b"type=application/dicom; boundary=bnd", ORDER
    ),
    with_parameters("parameters: charset quoted", b'charset="utf-8"; boundary=bnd', ORDER, QUOTED),
    with_parameters("parameters: unknown one", b"boundary=bnd; x-y=z"),
]

TURNED_AWAY = [
    refused(
        "boundary of 201 characters",
        b"boundary=" + of_length(201),
        "refused: boundary over 200 characters",
        body=good(of_length(201)),
    ),
    *[
        refused(
            f"boundary: not allowed {shown(ch)!r}, quoted",
            b"boundary=" + quoted(value),
            OUTSIDE,
            body=good(value),
        )
        for ch in (bytes([code]) for code in NOT_BCHARS)
        for value in (b"a" + ch + b"z",)
    ],
    refused("boundary: not ASCII, quoted", b'boundary="a\xc3\xa4z"', OUTSIDE, body=good("a\xe4z".encode())),
    refused("boundary: not ASCII, not quoted", b"boundary=a\xe4z", OUTSIDE, body=good(b"a\xe4z")),
    Row("boundary absent", GOOD, NO, typed(b"multipart/related"), pins=("refused: boundary absent",)),
    refused("boundary absent, another parameter", b"charset=utf-8", "refused: boundary absent"),
    refused("boundary empty, quoted", b'boundary=""', EMPTY),
    refused("boundary empty, not quoted", b"boundary=", EMPTY, HALF),
    refused("boundary twice, different", b"boundary=wrong; boundary=bnd", TWICE),
    refused("boundary twice, the same", b"boundary=bnd; boundary=bnd", TWICE),
    refused("boundary twice, in different case", b"boundary=bnd; Boundary=bnd", TWICE),
    refused("charset twice", b"boundary=bnd; charset=utf-8; charset=utf-8", TWICE),
    refused("start twice", b'boundary=bnd; start="<a>"; start="<a>"', TWICE),
    refused("unknown parameter twice", b"boundary=bnd; x=1; x=1", TWICE),
    refused("parameter without =", b"boundary=bnd; charset", HALF),
    refused("boundary without =", b"boundary", HALF),
    refused("parameter without a value", b"boundary=bnd; x-y=", HALF),
    refused("parameter without a name", b"boundary=bnd; =x", HALF),
    refused("blank before the =", b"boundary =bnd", BLANKS),
    refused("blank behind the =", b"boundary= bnd", BLANKS),
    refused("tab behind the =", b"boundary=\tbnd", BLANKS),
    refused("blank behind the = before quotes", b'boundary= "bnd"', BLANKS),
    refused("blanks around the = of another parameter", b"boundary=bnd; charset = utf-8", BLANKS),
    refused("boundary with quotes that do not end", b'boundary="bnd', QUOTES),
    refused("boundary with quotes that end in a backslash pair", b'boundary="bnd\\"', QUOTES),
    refused("text behind the quotes of the boundary", b'boundary="bnd"x', QUOTES),
    refused("text behind a blank behind the quotes", b'boundary="bnd" x', QUOTES),
    refused("second quotes behind the boundary", b'boundary="bnd""x"', QUOTES),
    refused("quotes of another parameter do not end", b'boundary=bnd; charset="utf-8', QUOTES),
    refused("boundary only in an extended parameter", b"boundary*=UTF-8''bnd", "refused: boundary*"),
    refused(
        "boundary also in an extended parameter", b"boundary=bnd; boundary*=UTF-8''bnd", "refused: boundary*"
    ),
    refused(
        "boundary that ends with a space, quoted",
        b'boundary="bnd "',
        "refused: boundary that ends in a space",
        body=good(b"bnd "),
    ),
    refused(
        "boundary of one space, quoted",
        b'boundary=" "',
        "refused: boundary that ends in a space",
        body=good(b" "),
    ),
]

ROWS = TAKEN + TURNED_AWAY
