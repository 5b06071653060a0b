"""Headers of parts."""

from tests.odd_inputs.table import (
    AB,
    GOOD,
    JB,
    RELATED,
    A,
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
    typed,
)

ONE = accept(AB)
EMPTY_LINE = b"\r\n\r\n"

FORMS = "tolerated: input headers of any form"
DISPOSITION = "tolerated: any Content-Disposition"
ENCODING = "tolerated: Content-Transfer-Encoding binary, 8bit, 7bit in any case"
OTHER_ENCODING = "refused: another Content-Transfer-Encoding"
CODED = "refused: Content-Encoding"
METADATA = "request: names are metadata, never paths"
ROOT_TYPE = "request: root Content-Type not checked"
NAME = "refused: header name empty or no token"
CONTROL = "refused: control character in a header value"
FOLDED = "refused: folded line"
REPEATED = "refused: repeated part header"
LINE_ENDS = "refused: LF-only line ends"

LENIENT = [
    ("empty value", b"X-A:", ()),
    ("blanks and tabs around the value", b"X-A: \t b c \t ", ()),
    ("tab in the value", b"X-A: b\tc", ()),
    ("every token character in the name", b"!#$%&'*+-.^_`|~09AZaz: b", ()),
    ("another header twice", b"X-A: b\r\nX-A: c", ()),
    (
        "raw UTF-8 in a filename",
        b'Content-Disposition: form-data; name="x"; filename="SECRET\xc3\x84\xe6\x97\xa5\xe6\x9c\xac.dcm"',
        ("tolerated: raw UTF-8 in header values",),
    ),
    (
        "RFC 5987 filename",
        b"Content-Disposition: attachment; filename*=UTF-8''SECRET%C3%A4.dcm",
        (DISPOSITION,),
    ),
    (
        "path in a filename",
        b'Content-Disposition: form-data; name="../x"; filename="../../../tmp/SECRET"',
        (METADATA,),
    ),
    ("absolute path in a filename", b'Content-Disposition: form-data; filename="/tmp/SECRET"', (METADATA,)),
    ("filename of 4000 characters", b'Content-Disposition: form-data; filename="' + b"f" * 4000 + b'"', ()),
    ("Content-Disposition empty", b"Content-Disposition:", (DISPOSITION,)),
    ("Content-Disposition garbage", b'Content-Disposition: ;;==";', (DISPOSITION,)),
    (
        "Content-Disposition with quotes that do not end",
        b'Content-Disposition: form-data; filename="SECRET',
        (DISPOSITION,),
    ),
    ("Content-Type empty", b"Content-Type:", (FORMS,)),
    ("Content-Type garbage", b"Content-Type: ;;=SECRET", (FORMS,)),
    ("Content-ID empty", b"Content-ID:", (FORMS,)),
    ("Content-ID garbage", b"Content-ID: <<SECRET", (FORMS,)),
]

ROOT_HEADERS = [
    ("text/json", b"Content-Type: text/json\r\n"),
    ("application/dicom+json", b"Content-Type: application/dicom+json\r\n"),
    ("image/png", b"Content-Type: image/png\r\n"),
    ("a semicolon", b"Content-Type: ;\r\n"),
    ("nothing", b"Content-Type:\r\n"),
    ("charset=utf-16 over UTF-8", b"Content-Type: application/json; charset=utf-16\r\n"),
    ("multipart/related", b"Content-Type: multipart/related; boundary=bnd\r\n"),
    ("no header", b""),
]

ENCODINGS_TAKEN = [
    spelling
    for name in (b"binary", b"8bit", b"7bit")
    for spelling in (name, name.upper(), name.title(), b" " + name, b" \t" + name + b" ")
]
ENCODINGS_REFUSED = [
    b"base64",
    b"BASE64",
    b"quoted-printable",
    b"Quoted-Printable",
    b"x-uuencode",
    b"gzip",
    b"identity",
    b"8 bit",
    b"binary, binary",
    b"binary;",
    b"",
]
CODINGS = [b"gzip", b"GZIP", b"deflate", b"br", b"zstd", b"identity", b"x-SECRET"]

TAKEN = [
    *[
        Row(f"header: {name}", second_part(line + EMPTY_LINE + AB), ONE, pins=pins)
        for name, line, pins in LENIENT
    ],
    *[
        Row(
            f"root part: its Content-Type is not checked, {name}",
            F + line + b"\r\n" + JB + Z,
            accept(),
            pins=(ROOT_TYPE,),
        )
        for name, line in ROOT_HEADERS
    ],
    *[
        Row(
            f"Content-Transfer-Encoding: taken {shown(value)!r}",
            second_part(b"Content-Transfer-Encoding:" + value + EMPTY_LINE + AB),
            ONE,
            pins=(ENCODING,),
        )
        for value in ENCODINGS_TAKEN
    ],
    Row(
        "Content-Transfer-Encoding: on the root part",
        F + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + JB + Z,
        accept(),
        pins=(ENCODING,),
    ),
]

# RFC 9110 §5.6.2: a token has none of these, nor controls, nor anything beyond ASCII.
NO_TOKEN = [bytes([code]) for code in b'"(),/;<=>?@[\\]{} \t\0\x01\x1f\x7f'] + [b"\xc3\xa4", b"\xe4"]
# Bare CR and LF have rows of their own.
CONTROLS = [bytes([code]) for code in (*range(0x20), 0x7F) if bytes([code]) not in (b"\t", b"\r", b"\n")]

MALFORMED = [
    ("no colon", b"garbage SECRET", ("refused: header without colon",)),
    ("no colon, behind a good one", b"X-A: b\r\ngarbage SECRET", ("refused: header without colon",)),
    ("empty name", b": SECRET", (NAME,)),
    ("blank before the colon", b"X-A : b", (NAME,)),
    ("bare CR in the value", b"X-A: a\rX-B: b", (CONTROL,)),
    ("bare LF in the value", b"X-A: a\nb", (CONTROL, LINE_ENDS)),
    ("folded with a blank", b'Content-Disposition: form-data;\r\n name="x"', (FOLDED,)),
    ("folded with a tab", b"X-A: a\r\n\tb", (FOLDED,)),
    ("first line begins with a blank", b" X-A: b", (FOLDED,)),
    (
        "Latin-1 filename",
        b'Content-Disposition: form-data; filename="caf\xe9.dcm"',
        ("refused: header value not UTF-8",),
    ),
    ("cut UTF-8", b"X-A: \xe6\x97", ("refused: header value not UTF-8",)),
    ("overlong UTF-8", b"X-A: \xc0\xaf", ("refused: header value not UTF-8",)),
    ("surrogate in UTF-8", b"X-A: \xed\xa0\x80", ("refused: header value not UTF-8",)),
]

REPEATS = [
    (b"Content-Type", b"text/plain"),
    (b"Content-Disposition", b"form-data"),
    (b"Content-ID", b"<q>"),
    (b"Content-Length", b"8"),
    (b"Content-Transfer-Encoding", b"binary"),
]

TURNED_AWAY = [
    *[
        Row(f"header: {name}", second_part(line + EMPTY_LINE + AB), Refused(400), pins=pins)
        for name, line, pins in MALFORMED
    ],
    *rows(
        Refused(400),
        NAME,
        [
            (f"header: {shown(ch)!r} in the name", second_part(b"X" + ch + b"A: b" + EMPTY_LINE + AB))
            for ch in NO_TOKEN
        ],
    ),
    *rows(
        Refused(400),
        CONTROL,
        [
            (f"header: {shown(ch)!r} in the value", second_part(b"X-A: a" + ch + b"b" + EMPTY_LINE + AB))
            for ch in CONTROLS
        ],
    ),
    *rows(
        Refused(400),
        REPEATED,
        [
            (
                f"header: {name.decode()} twice",
                second_part(
                    b"%s: %s\r\nX-A: b\r\n%s: %s" % (name, value, name.lower(), value) + EMPTY_LINE + AB
                ),
            )
            for name, value in REPEATS
        ],
    ),
    *rows(
        Refused(400),
        "refused: header without colon",
        [
            ("header: body follows without an empty line", F + b"Content-Type: text/json\r\n" + JB + Z),
            ("header: no colon, in the root part", F + b"garbage SECRET\r\n\r\n" + JB + N + A + Z),
        ],
    ),
    *rows(
        Refused(415),
        OTHER_ENCODING,
        [
            (
                f"Content-Transfer-Encoding: refused {shown(value)!r}",
                second_part(b"Content-Transfer-Encoding: " + value + b"\r\n\r\nQUFB"),
            )
            for value in ENCODINGS_REFUSED
        ],
    ),
    *rows(
        Refused(415),
        OTHER_ENCODING,
        [
            (
                "Content-Transfer-Encoding: base64 on the root part",
                F + b"Content-Transfer-Encoding: base64\r\n\r\ne30=" + N + A + Z,
            )
        ],
    ),
    *rows(
        Refused(415),
        CODED,
        [
            (
                f"Content-Encoding: {value.decode()} on a part",
                second_part(b"Content-Encoding: " + value + b"\r\n\r\n\x1f\x8b\x08"),
            )
            for value in CODINGS
        ],
    ),
    *[
        Row(
            f"Content-Encoding: {value.decode()} on the request",
            GOOD,
            Refused(415),
            (*typed(RELATED), (b"Content-Encoding", value)),
            pins=(CODED,),
        )
        for value in CODINGS
    ],
    Row(
        "Content-Encoding: identity on the root part",
        F + b"Content-Encoding: identity\r\n" + J + N + A + Z,
        Refused(415),
        pins=(CODED,),
    ),
]

ROWS = TAKEN + TURNED_AWAY
