"""Delimiters and line ends: what is a delimiter, and what only looks like one."""

from tests.odd_inputs.table import (
    AB,
    BB,
    JB,
    SENTENCE_ON_LINE_ENDS,
    A,
    B,
    F,
    J,
    N,
    Refused,
    Row,
    Z,
    accept,
    rows,
    second_part,
    shown,
)

DICOM = b"Content-Type: application/dicom\r\n\r\n"
STUFF = "tolerated: delimiter stuff in a body"
MALFORMED = "refused: malformed delimiter line"
LINE_ENDS = "refused: LF-only line ends"

INNER = b"--inner\r\n" + b"\r\n--inner\r\n".join((J, A, B)) + b"\r\n--inner--\r\n"
EVERY_BYTE = bytes(range(256)) * 2 + bytes(range(255, -1, -1))

BODIES = [
    ("boundary text in the middle of a line", b"SECRET" + F + b"x"),
    ("boundary with one dash at the start of a line", b"SECRET\r\n-bnd\r\n"),
    ("proper prefixes of the delimiter at starts of lines", b"SECRET\r\n-\r\n--\r\n--b\r\n--bn\r\n--bn\r\nd"),
    ("ends with a proper prefix of the delimiter", b"SECRET\r\n--bn"),
    ("boundary text after a bare LF", b"SECRET\n--bnd\nSECRET"),
    ("boundary text after a bare CR", b"SECRET\r--bnd\rSECRET"),
    ("CR before the delimiter belongs to the body", b"SECRET\r"),
    ("CRLF before the delimiter belongs to the body", b"SECRET\r\n"),
    ("starts with CRLF", b"\r\nSECRET"),
    ("whole multipart message with another boundary", INNER),
    ("all byte values", EVERY_BYTE),
    ("an empty line", b"SECRET\r\n\r\nSECRET"),
    ("close delimiter in the middle of a line", b"SECRET--bnd--\r\n"),
]
CRUMBS = [
    b"\r",
    b"\n",
    b"-",
    b"--",
    b"\0",
    b"--\r\n",
    b"\r\n--",
    b"\r\n--\r\n",
    b"\r\r\n",
    b"\n\r",
    b"-\r\n-",
]
CRUMBS += [b":", b" ", b"\t", b"\r\n", b"\r\n\r\n", b"--bn", b"\r\n--bn", b"bnd", b"\r\n\r"]

TAKEN = [
    *[Row(f"body: {name}", second_part(DICOM + body), accept(body), pins=(STUFF,)) for name, body in BODIES],
    *[
        Row(
            f"body: only {shown(crumb)}",
            second_part(b"X-A: b\r\n\r\n" + crumb),
            accept(crumb),
            pins=(STUFF,),
        )
        for crumb in CRUMBS
    ],
]

GLUED = [
    ("letter behind it", b"SECRET\r\n--bndX\r\nmore"),
    ("one dash behind it", b"SECRET\r\n--bnd-\r\nmore"),
    ("LF behind it", b"SECRET\r\n--bnd\nX\r\nmore"),
    ("bare CR behind it", b"SECRET\r\n--bnd\rX\r\nmore"),
    ("NUL behind it", b"SECRET\r\n--bnd\0\r\nmore"),
    ("blank and letter behind it", b"SECRET\r\n--bnd X\r\nmore"),
    ("close delimiter with text behind it", b"SECRET\r\n--bnd--X\r\nmore"),
    ("close delimiter with a third dash", b"SECRET\r\n--bnd---\r\nmore"),
    ("right behind the header block", b"--bndX SECRET"),
]

LF_ONLY = (
    b"--bnd\nContent-Type: application/json\n\n"
    + JB
    + b'\n--bnd\nContent-Disposition: form-data; name="a"; filename="SECRET.dcm"\n'
    + b"Content-Type: application/dicom\n\n"
    + AB
    + b"\n--bnd\nContent-Type: application/octet-stream\n\n"
    + BB
    + b"\n--bnd--\n"
)

TURNED_AWAY = [
    *rows(
        Refused(400),
        MALFORMED,
        [(f"malformed delimiter: {name}", second_part(DICOM + body)) for name, body in GLUED],
    ),
    *rows(
        Refused(400),
        MALFORMED,
        [
            ("malformed delimiter: the first one", b"--bndX\r\n" + J + Z),
            ("malformed delimiter: in the root part", F + J + b"\r\n--bnd-SECRET" + Z),
            (
                "nested multipart with the same boundary",
                F + J + N + b"Content-Type: application/dicom\r\n" + N + J + N + A + N + B + Z + Z,
            ),
            ("header block ended by a delimiter, no empty line", F + J + N + b"X-A: b" + N + B + Z),
        ],
    ),
    *rows(
        Refused(400, says=SENTENCE_ON_LINE_ENDS),
        LINE_ENDS,
        [
            ("LF for every line end", LF_ONLY),
            ("LF after the first delimiter", b"--bnd\n" + J + N + A + N + B + Z),
        ],
    ),
    *rows(
        Refused(400),
        LINE_ENDS,
        [
            ("LF after a header line", second_part(b"X-A: b\nX-C: d\r\n\r\n" + AB)),
            ("LF for the empty line", second_part(b"X-A: b\r\n\n" + AB)),
            ("LF after the only header line and for the empty line", second_part(b"X-A: b\n\n" + AB)),
        ],
    ),
]

ROWS = TAKEN + TURNED_AWAY
