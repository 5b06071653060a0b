"""Framing: where a message begins and ends."""

from tests.odd_inputs.table import (
    AB,
    BB,
    GOOD,
    JB,
    SENTENCE_ON_BOUNDARY,
    A,
    Accepted,
    B,
    F,
    J,
    N,
    Refused,
    Row,
    Z,
    accept,
    good,
    rows,
)

BOTH = accept(AB, BB)
MESSAGE = F + J + N + A + N + B
CUT = F + b"\r\n" + JB + N + b"X-A: b\r\n\r\n" + AB + Z
WHOLE_CUTS = (len(CUT) - 2, len(CUT))
"""The message is whole with the CRLF after its close delimiter or without; not with half of it."""

EMPTY_LINES = "tolerated: empty lines before the first delimiter"
NO_LAST_CRLF = "tolerated: no CRLF after the close delimiter"
BLANKS = "tolerated: blanks after a delimiter"
NO_BODY = "tolerated: part with headers and no body"
PREAMBLE = "refused: text before the first delimiter"
EPILOGUE = "refused: anything after the close delimiter"
NOT_CLOSED = "refused: close delimiter missing"
MALFORMED = "refused: malformed delimiter line"
LINE_ENDS = "refused: LF-only line ends"

TAKEN = [
    Row(
        "plain message",
        GOOD,
        BOTH,
        pins=(
            "request: type not needed",
            "request: first part is the root without start",
            "request: inputs in the order of arrival",
            "request: input_hash",
            "request: callback arguments",
        ),
    ),
    Row("root part only", F + J + Z, accept()),
    Row("one empty line before the first delimiter", b"\r\n" + GOOD, BOTH, pins=(EMPTY_LINES,)),
    Row("several empty lines before the first delimiter", b"\r\n" * 5 + GOOD, BOTH, pins=(EMPTY_LINES,)),
    Row("no CRLF after the close delimiter", MESSAGE + b"\r\n--bnd--", BOTH, pins=(NO_LAST_CRLF,)),
    Row("two CRLF after the close delimiter", GOOD + b"\r\n", BOTH),
    Row(
        "blanks and CRLF mixed after the close delimiter",
        MESSAGE + b"\r\n--bnd-- \t\r\n \r\n\t\r\n\r\n",
        BOTH,
        pins=(BLANKS,),
    ),
    Row(
        "blanks after the first delimiter",
        b"--bnd \t\r\n" + J + N + A + Z,
        accept(AB),
        pins=(BLANKS,),
    ),
    Row(
        "blanks after a later delimiter",
        F + J + b"\r\n--bnd\t \r\n" + A + Z,
        accept(AB),
        pins=(BLANKS,),
    ),
    Row(
        "part without headers",
        F + J + N + b"\r\n" + AB + Z,
        accept(AB),
        pins=("tolerated: part without headers",),
    ),
    Row("part without headers and with an empty body", F + J + N + b"\r\n" + Z, accept(b"")),
    Row(
        "part with headers and an empty body",
        F + J + N + b"X-A: b\r\n\r\n" + N + B + Z,
        accept(b"", BB),
        pins=(NO_BODY,),
    ),
    Row(
        "part with headers and no body, next delimiter at once",
        F + J + N + b"X-A: b\r\n" + N + B + Z,
        accept(b"", BB),
        pins=(NO_BODY,),
    ),
    Row(
        "last part with headers and no body",
        F + J + N + b"X-A: b\r\n" + Z,
        accept(b""),
        pins=(NO_BODY,),
    ),
]

CUTS = [
    Row(
        f"cut at byte {at} of {len(CUT)}",
        CUT[:at],
        Accepted((AB,)) if at in WHOLE_CUTS else Refused(400),
        pins=("refused: body cut anywhere",),
    )
    for at in range(len(CUT))
]

TURNED_AWAY = [
    *rows(
        Refused(400),
        NOT_CLOSED,
        [
            ("close delimiter missing", F + J + N + A + b"\r\n"),
            ("close delimiter with one dash and CRLF", F + J + N + A + b"\r\n--bnd-\r\n"),
        ],
    ),
    *rows(Refused(400), "refused: empty body", [("empty body", b"")]),
    *rows(
        Refused(400),
        "refused: no part",
        [
            ("only the close delimiter", b"--bnd--\r\n"),
            ("only an empty line and the close delimiter", b"\r\n--bnd--\r\n"),
            ("only empty lines", b"\r\n\r\n"),
        ],
    ),
    *rows(
        Refused(400),
        PREAMBLE,
        [
            ("text that is not multipart", b"hello SECRET"),
            ("preamble line", b"preamble SECRET" + N + J + N + A + N + B + Z),
            ("one letter glued to the first delimiter", b"x" + GOOD),
            ("one blank glued to the first delimiter", b" " + GOOD),
        ],
    ),
    *rows(Refused(400), LINE_ENDS, [("LF before the first delimiter", b"\n" + GOOD)]),
    Row(
        "header and body have different boundaries",
        good(b"4f1cSECRET"),
        Refused(400, says=SENTENCE_ON_BOUNDARY),
        pins=("refused: delimiter is not the header's boundary",),
        hidden=(b"4f1c", b"bnd"),
    ),
    *rows(
        Refused(400),
        EPILOGUE,
        [
            ("epilogue", GOOD + b"epilogue SECRET"),
            ("epilogue on a line of its own after an empty one", GOOD + b"\r\nepilogue SECRET\r\n"),
            ("second message after the first", GOOD + GOOD),
            ("LF after the close delimiter", MESSAGE + b"\r\n--bnd--\n"),
            ("bare CR after the close delimiter", MESSAGE + b"\r\n--bnd--\rx"),
            ("NUL after the close delimiter", GOOD + b"\x00"),
        ],
    ),
    *rows(
        Refused(400),
        (EPILOGUE, MALFORMED),
        [("text on the line of the close delimiter", MESSAGE + b"\r\n--bnd--x\r\n")],
    ),
]

ROWS = TAKEN + CUTS + TURNED_AWAY
