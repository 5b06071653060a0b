"""The vocabulary of the table: what a row is, and the bytes that most rows are made of.

The word SECRET stands in names, values and bodies; it may appear in no refusal and in no log record.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.harness.raw import Headers

JB = b'{"k": "SECRET"}'
AB = b"A\x00SECRET"
BB = b"\xff\xfeB"
J = b'Content-Type: application/json\r\n\r\n{"k": "SECRET"}'
A = (
    b'Content-Disposition: form-data; name="a"; filename="SECRET.dcm"\r\n'
    b"Content-Type: application/dicom\r\n\r\nA\x00SECRET"
)
B = b"Content-Type: application/octet-stream\r\n\r\n\xff\xfeB"
F = b"--bnd\r\n"
N = b"\r\n--bnd\r\n"
Z = b"\r\n--bnd--\r\n"
GOOD = F + J + N + A + N + B + Z

SECRET = b"SECRET"
RELATED = b"multipart/related; boundary=bnd"

SENTENCE_ON_LINE_ENDS = "CRLF"
SENTENCE_ON_BOUNDARY = "boundary"


def good(boundary: bytes) -> bytes:
    """`GOOD` with another boundary."""
    line = b"--" + boundary
    return line + b"\r\n" + (b"\r\n" + line + b"\r\n").join((J, A, B)) + b"\r\n" + line + b"--\r\n"


@dataclass(frozen=True)
class Accepted:
    """The model is called with this JSON and exactly these inputs."""

    inputs: tuple[bytes, ...]
    root: bytes = JB
    """The body of the root part."""
    json: Any = field(default_factory=lambda: {"k": "SECRET"})
    place: int = 0
    """Where the root part stands among the parts."""

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """The bodies of all parts in the order of arrival."""
        return (*self.inputs[: self.place], self.root, *self.inputs[self.place :])


@dataclass(frozen=True)
class Refused:
    """A problem with this status (or one of several); the model is not called."""

    status: int | tuple[int, ...]
    starts: str = ""
    """What `detail` starts with."""
    says: str = ""
    """A word that `detail` has, without regard to case."""


@dataclass(frozen=True)
class Row:
    """One request to the inference route, as headers and multipart body, and what it comes to."""

    name: str
    body: bytes
    expected: Accepted | Refused
    headers: Headers = ((b"Content-Type", RELATED),)
    pins: tuple[str, ...] = ()
    """The rows of the wire contract that this one pins."""
    limited: bool = False
    """Sent to the gateway with `limits.LIMITS` and not to the one with defaults."""
    hidden: tuple[bytes, ...] = ()
    """What else of the request may not be in a refusal."""

    def __str__(self) -> str:
        return self.name


def accept(*inputs: bytes) -> Accepted:
    return Accepted(inputs)


def typed(*content_types: bytes) -> Headers:
    """Headers with a Content-Type line for each of the given values."""
    return tuple((b"Content-Type", value) for value in content_types)


def second_part(part: bytes) -> bytes:
    """A message with the good root part and one more."""
    return F + J + N + part + Z


def rows(
    expected: Accepted | Refused, pins: str | tuple[str, ...], named: Iterable[tuple[str, bytes]]
) -> list[Row]:
    """Rows that come to the same, from (name, body)."""
    pins = (pins,) if isinstance(pins, str) else pins
    return [Row(name, body, expected, pins=pins) for name, body in named]


def shown(value: bytes) -> str:
    """A value as it can stand in the name of a test."""
    return ascii(value.decode("utf-8", "backslashreplace"))[1:-1] or "nothing"
