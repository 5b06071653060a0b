"""The media type of the request."""

from tests.odd_inputs.table import AB, BB, GOOD, RELATED, Refused, Row, accept, typed

INVALID = Refused(400, starts="invalid content-type")
OTHER = "refused: another media type"
CASE = "request: media type without regard to case"


def named(value: bytes, expected: Refused, *pins: str, hidden: tuple[bytes, ...] = ()) -> Row:
    return Row(f"Content-Type: {value.decode()}", GOOD, expected, typed(value), pins=pins, hidden=hidden)


ROWS = [
    named(b"multipart/form-data; boundary=bnd", INVALID, OTHER, hidden=(b"form-data",)),
    named(b"multipart/mixed; boundary=bnd", INVALID, OTHER, hidden=(b"mixed",)),
    named(b"application/octet-stream", INVALID, OTHER, hidden=(b"octet-stream",)),
    named(b"application/json", INVALID, OTHER, hidden=(b"application/json",)),
    named(b"text/plain; boundary=bnd", INVALID, OTHER, hidden=(b"text/plain",)),
    named(b"text/x-SECRET; boundary=bnd", INVALID, OTHER),
    named(
        b"multipart/related-more; boundary=bnd",
        INVALID,
        "refused: multipart/related-more",
        hidden=(b"related-more",),
    ),
    named(b"multipart/; boundary=bnd", Refused(400), OTHER),
    named(b"multipart/related boundary=bnd", Refused(400), OTHER),
    named(b"multipart/related, boundary=bnd", Refused(400), OTHER),
    Row("no Content-Type", GOOD, INVALID, typed(), pins=("refused: no Content-Type",)),
    Row("Content-Type empty", GOOD, INVALID, typed(b""), pins=("refused: no Content-Type",)),
    Row(
        "Content-Type in capitals",
        GOOD,
        accept(AB, BB),
        typed(b"MULTIPART/RELATED; BOUNDARY=bnd"),
        pins=(CASE,),
    ),
    Row(
        "Content-Type in mixed case",
        GOOD,
        accept(AB, BB),
        typed(b"Multipart/Related; Boundary=bnd"),
        pins=(CASE,),
    ),
    Row(
        "Content-Type header twice, the same",
        GOOD,
        Refused(400),
        typed(RELATED, RELATED),
        pins=("refused: two Content-Types",),
    ),
    Row(
        "Content-Type header twice, different",
        GOOD,
        Refused(400),
        typed(RELATED, b"application/json"),
        pins=("refused: two Content-Types",),
    ),
]
