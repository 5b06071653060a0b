"""Content-Length of parts."""

from tests.odd_inputs.table import N, Refused, Row, accept, rows, second_part, shown

BODY = b"SECRET12345"
LENGTH = len(BODY)
TRUE = "tolerated: true part Content-Length"
FALSE = "refused: part Content-Length not true"


def declared(written: bytes, body: bytes = BODY) -> bytes:
    return second_part(b"Content-Length:" + written + b"\r\n\r\n" + body)


NO_NUMBERS = {
    "negative": b"-11",
    "with a plus": b"+11",
    "empty": b"",
    "a letter": b"x",
    "hexadecimal": b"0xb",
    "with a fraction": b"11.0",
    "a list": b"11, 11",
    "with a semicolon": b"11;",
    "quoted": b'"11"',
    "with an exponent": b"1e1",
    "two with a blank": b"11 11",
    "nan": b"nan",
    "Arabic-Indic digits": "\u0661\u0661".encode(),
    "full-width digits": "\uff11\uff11".encode(),
    "with an underscore": b"1_1",
}

TAKEN = [
    *[
        Row(f"part Content-Length true: {shown(written)!r}", declared(written), accept(BODY), pins=(TRUE,))
        for written in (b" 11", b"11", b" \t11 \t")
    ],
    Row("part Content-Length true: empty body", declared(b" 0", b""), accept(b""), pins=(TRUE,)),
    Row(
        "part Content-Length true: empty body, next delimiter at once",
        second_part(b"Content-Length: 0\r\n"),
        accept(b""),
        pins=(TRUE,),
    ),
]

TURNED_AWAY = [
    *rows(
        Refused(400),
        FALSE,
        [(f"part Content-Length too small: {n}", declared(b" %d" % n)) for n in (0, 1, LENGTH - 1)],
    ),
    *rows(
        Refused(400),
        FALSE,
        [
            (f"part Content-Length too large: {n}", declared(b" %d" % n))
            for n in (LENGTH + 1, LENGTH + 2, 9_000, 2**64 + LENGTH)
        ],
    ),
    *rows(
        Refused(400),
        FALSE,
        [
            (f"part Content-Length not a number: {name}", declared(b" " + value))
            for name, value in NO_NUMBERS.items()
        ],
    ),
    *rows(
        Refused(400),
        (FALSE, "refused: repeated part header"),
        [
            (
                "part Content-Length twice, the same",
                second_part(b"Content-Length: 11\r\nContent-Length: 11\r\n\r\n" + BODY),
            ),
        ],
    ),
    *rows(
        Refused(400),
        FALSE,
        [
            (
                "part Content-Length that reaches over a delimiter",
                second_part(b"Content-Length: 21\r\n\r\nx" + N + b"X-A: b\r\n\r\ny"),
            ),
            ("part Content-Length of a part without a body", second_part(b"Content-Length: 2\r\n")),
        ],
    ),
]

ROWS = TAKEN + TURNED_AWAY
