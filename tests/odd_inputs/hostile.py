"""Slow or large: bodies that are dear to a naive reader."""

from tests.odd_inputs.table import Accepted, F, N, Refused, Row, Z, second_part

CR = b"\r" * 1_000_000
NEAR = b"\r\n--bn" * 160_000

SMALL_PARTS = 5000
STUFF = "tolerated: delimiter stuff in a body"

ROWS = [
    Row("hostile: 1 MB of CR", second_part(b"\r\n" + CR), Accepted((CR,)), pins=(STUFF,)),
    Row("hostile: 1 MB of near delimiters", second_part(b"\r\n" + NEAR), Accepted((NEAR,)), pins=(STUFF,)),
    Row(
        "hostile: 5000 small parts",
        F + b"\r\n{}" + (N + b"X-A: b\r\n\r\nx") * SMALL_PARTS + Z,
        Accepted((b"x",) * SMALL_PARTS, b"{}", {}),
    ),
    Row("hostile: 1 MB of near delimiters before the first one", NEAR + b"\r\n--bnd--\r\n", Refused(400)),
]
