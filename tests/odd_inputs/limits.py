"""Limits: exactly at one is fine, one more is 413. `limited` rows go to a gateway with the `LIMITS` here."""

from tests.odd_inputs.table import AB, A, Accepted, F, J, N, Refused, Row, Z, accept, second_part

MAX_BODY_BYTES = 4096
MAX_PARTS = 6
MAX_PART_BYTES = 1024
MAX_ROOT_BYTES = 256
MAX_PART_HEADERS = 4
MAX_PART_HEADER_BYTES = 512

LIMITS = {
    "max_body_bytes": MAX_BODY_BYTES,
    "max_parts": MAX_PARTS,
    "max_part_bytes": MAX_PART_BYTES,
    "max_root_bytes": MAX_ROOT_BYTES,
    "max_part_headers": MAX_PART_HEADERS,
    "max_part_header_bytes": MAX_PART_HEADER_BYTES,
}

AT_LIMIT = "aftermath: exactly at a limit is fine"
BODY = "refused: body over its limit"
COUNT = "refused: part count over its limit"
PART = "refused: part over its limit"
ROOT = "refused: root over its limit"
HEADERS = "refused: header count over its limit"
HEADER_BYTES = "refused: header bytes over their limit"

SAFE = b"x" * (MAX_PART_BYTES - 100)


def body_of(size: int) -> tuple[bytes, tuple[bytes, ...]]:
    """A message of `size` bytes and its inputs, within all other limits."""
    full = F + J + (N + b"\r\n" + SAFE) * 4 + N + b"\r\n"
    filler = b"y" * (size - len(full + Z))
    return full + filler + Z, (SAFE,) * 4 + (filler,)


def parts_of(count: int) -> bytes:
    """A message of so many parts, the root part counted."""
    return F + J + (N + b"\r\nx") * (count - 1) + Z


def headers_of(count: int) -> bytes:
    return b"".join(b"X-%d: y\r\n" % i for i in range(count)) + b"\r\n"


def root_of(size: int) -> bytes:
    return b'"' + b"k" * (size - 2) + b'"'


def limited(name: str, body: bytes, expected: Accepted | Refused, *pins: str) -> Row:
    return Row(name, body, expected, pins=pins, limited=True)


TOO_MUCH = Refused(413)
AT_BODY, INPUTS_AT_BODY = body_of(MAX_BODY_BYTES)
AT_PART = b"p" * MAX_PART_BYTES
AT_ROOT = root_of(MAX_ROOT_BYTES)

ROWS = [
    limited("body of exactly the limit", AT_BODY, Accepted(INPUTS_AT_BODY), AT_LIMIT),
    limited("body of one byte over the limit", body_of(MAX_BODY_BYTES + 1)[0], TOO_MUCH, BODY),
    limited("body over the limit by blanks behind its end", AT_BODY + b" ", TOO_MUCH, BODY),
    limited("part of exactly the limit", second_part(b"\r\n" + AT_PART), accept(AT_PART), AT_LIMIT),
    limited("part of one byte over the limit", second_part(b"\r\n" + AT_PART + b"p"), TOO_MUCH, PART),
    limited(
        "root part of exactly the limit",
        F + b"\r\n" + AT_ROOT + Z,
        Accepted((), AT_ROOT, "k" * (MAX_ROOT_BYTES - 2)),
        AT_LIMIT,
    ),
    limited(
        "root part of one byte over the limit",
        F + b"\r\n" + root_of(MAX_ROOT_BYTES + 1) + N + A + Z,
        TOO_MUCH,
        ROOT,
    ),
    limited("as many parts as allowed", parts_of(MAX_PARTS), accept(*(b"x",) * (MAX_PARTS - 1)), AT_LIMIT),
    limited("one part more than allowed, for the root counts", parts_of(MAX_PARTS + 1), TOO_MUCH, COUNT),
    limited("two parts more than allowed", parts_of(MAX_PARTS + 3), TOO_MUCH, COUNT),
    limited(
        "as many headers as allowed", second_part(headers_of(MAX_PART_HEADERS) + AB), accept(AB), AT_LIMIT
    ),
    limited(
        "one header more than allowed", second_part(headers_of(MAX_PART_HEADERS + 1) + AB), TOO_MUCH, HEADERS
    ),
    limited(
        "header bytes over the limit in one header",
        second_part(b"X-A: " + b"v" * MAX_PART_HEADER_BYTES + b"\r\n\r\n" + AB),
        TOO_MUCH,
        HEADER_BYTES,
    ),
    limited(
        "header bytes over the limit in two headers",
        second_part((b"X-A: " + b"v" * (MAX_PART_HEADER_BYTES // 2) + b"\r\n") * 2 + b"\r\n" + AB),
        TOO_MUCH,
        HEADER_BYTES,
    ),
    limited(
        "header line without an end",
        second_part(b"X-A: " + b"v" * 2 * MAX_PART_HEADER_BYTES),
        TOO_MUCH,
        HEADER_BYTES,
    ),
    Row("16 headers", second_part(headers_of(16) + AB), accept(AB), pins=(AT_LIMIT,)),
    Row("17 headers", second_part(headers_of(17) + AB), TOO_MUCH, pins=(HEADERS,)),
    Row(
        "header value of 9000 bytes",
        second_part(b"X-A: " + b"v" * 9000 + b"\r\n\r\n" + AB),
        TOO_MUCH,
        pins=(HEADER_BYTES,),
    ),
]
