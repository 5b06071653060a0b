"""The root part: JSON, in the charset of the request."""

import math
from typing import Any

from tests.harness.raw import Headers
from tests.odd_inputs.table import A, Accepted, F, N, Refused, Row, Z, typed

TYPE = b"Content-Type: application/json\r\n\r\n"
UTF_16 = '{"k": "caf\xe9 \u65e5\U0001f9e0"}'.encode("utf-16-le")

CHARSET = "request: charset decodes the JSON"
BAD = "refused: root not JSON in the charset"
MARK = "refused: byte order mark"
UNKNOWN = "refused: charset empty or unknown"
CODEC = "refused: charset that is a codec and no charset"
DEEP = "refused: JSON nested too deep"
LONG = "refused: integer too long"
AS_PYTHON = "tolerated: NaN, Infinity and repeated keys"


def charset(name: bytes) -> Headers:
    return typed(b"multipart/related; boundary=bnd; charset=" + name)


DEFAULT = typed(b"multipart/related; boundary=bnd")


def taken(name: str, text: bytes, value: Any, *pins: str, headers: Headers = DEFAULT) -> Row:
    """A root part that is read as this value."""
    return Row(f"JSON: {name}", F + TYPE + text + Z, Accepted((), text, value), headers, pins=pins)


def refused(
    name: str, text: bytes, *pins: str, headers: Headers = DEFAULT, hidden: tuple[bytes, ...] = ()
) -> Row:
    return Row(f"JSON: {name}", F + TYPE + text + Z, Refused(400), headers, pins=pins, hidden=hidden)


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


SMALL = {"k": "caf\xe9"}
WIDE = {"k": "caf\xe9 \u65e5\U0001f9e0"}

TAKEN = [
    taken("UTF-8", b'{"k": "caf\xc3\xa9 \xe6\x97\xa5\xf0\x9f\xa7\xa0"}', WIDE),
    taken(
        "charset=utf-8",
        b'{"k": "caf\xc3\xa9 \xe6\x97\xa5\xf0\x9f\xa7\xa0"}',
        WIDE,
        CHARSET,
        headers=charset(b"utf-8"),
    ),
    taken("charset=latin-1", b'{"k": "caf\xe9"}', SMALL, CHARSET, headers=charset(b"latin-1")),
    taken(
        "charset in capitals and quotes",
        b'{"k": "caf\xe9"}',
        SMALL,
        CHARSET,
        headers=charset(b'"ISO-8859-1"'),
    ),
    taken(
        "charset=utf-16 with a byte order mark",
        b"\xff\xfe" + UTF_16,
        WIDE,
        CHARSET,
        headers=charset(b"utf-16"),
    ),
    taken("charset=utf-16-le", UTF_16, WIDE, CHARSET, headers=charset(b"utf-16-le")),
    taken("blanks around it", b' \r\n\t{"k": 1}\r\n ', {"k": 1}),
    taken("number", b"3", 3),
    taken("null", b"null", None),
    taken("list", b"[1, [2, {}]]", [1, [2, {}]]),
    taken("string", b'"SECRET"', "SECRET"),
    taken("integer of 1000 digits", b"[" + b"7" * 1000 + b"]", [int("7" * 1000)]),
    taken("nesting of 100", b"[" * 100 + b"]" * 100, deep(100)),
    taken("duplicate keys, the last counts", b'{"k": 1, "k": 2}', {"k": 2}, AS_PYTHON),
    taken("Infinity", b"[Infinity, -Infinity]", [math.inf, -math.inf], AS_PYTHON),
    taken("NaN", b'{"k": NaN}', {"k": math.nan}, AS_PYTHON),
    taken("escaped lone surrogate", b'"\\ud800"', "\ud800"),
]

TURNED_AWAY = [
    refused("Latin-1, nothing declared", b'{"k": "caf\xe9"}', BAD),
    refused("UTF-8 declared ASCII", b'{"k": "caf\xc3\xa9"}', BAD, headers=charset(b"ascii")),
    refused("UTF-16, nothing declared", b'\xff\xfe{\x00"\x00k\x00"\x00:\x00 \x001\x00}\x00', BAD),
    refused("UTF-16 cut in the middle of a character", UTF_16[:-1], BAD, headers=charset(b"utf-16-le")),
    refused("charset unknown", b"{}", UNKNOWN, headers=charset(b"klingon"), hidden=(b"klingon",)),
    refused("charset unknown, SECRET", b"{}", UNKNOWN, headers=charset(b"SECRET")),
    refused("charset empty", b"{}", UNKNOWN, headers=charset(b"")),
    refused("charset empty, quoted", b"{}", UNKNOWN, headers=charset(b'""')),
    refused("charset of blanks, quoted", b"{}", UNKNOWN, headers=charset(b'"  "')),
    refused("charset that is a path", b"{}", UNKNOWN, headers=charset(b'"../SECRET"')),
    *[
        refused(
            f"charset={codec}, a codec and no charset", b'{"k": 1}', CODEC, headers=charset(codec.encode())
        )
        for codec in ("hex", "rot13", "base64", "zlib", "bz2", "uu", "quopri")
    ],
    refused("UTF-8 byte order mark", b"\xef\xbb\xbf{}", MARK, BAD),
    refused("byte 0xFF", b'{"k": "\xff"}', BAD),
    refused("surrogate in UTF-8", b'{"k": "\xed\xa0\x80"}', BAD),
    refused("cut", b'{"k": ', BAD),
    refused("empty", b"", BAD),
    refused("only blanks", b" \r\n", BAD),
    refused("two values", b"{} {}", BAD),
    refused("text behind it", b"{} x", BAD),
    refused("single quotes", b"{'k': 1}", BAD),
    refused("comma at the end", b'{"k": 1,}', BAD),
    refused("bare word", b"SECRET", BAD),
    refused("raw tab in a string", b'{"k": "a\tb"}', BAD),
    refused("NUL in a string", b'{"k": "SECRET\0"}', BAD),
    refused("leading zero", b'{"k": 01}', BAD),
    refused("DICOM bytes", b"\x00" * 128 + b"DICM", BAD),
    refused("integer of 10000 digits", b"[" + b"7" * 10000 + b"]", LONG),
    Row("JSON: root part with headers and no body", F + b"X-A: b\r\n" + N + A + Z, Refused(400), pins=(BAD,)),
    Row(
        "JSON: nesting of 100000, lists",
        F + b"\r\n" + b"[" * 100000 + b"]" * 100000 + Z,
        Refused(400),
        pins=(DEEP,),
    ),
    Row(
        "JSON: nesting of 100000, objects",
        F + b"\r\n" + b'{"k":' * 100000 + b"1" + b"}" * 100000 + Z,
        Refused(400),
        pins=(DEEP,),
    ),
]

ROWS = TAKEN + TURNED_AWAY
