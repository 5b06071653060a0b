"""Invariant: the events of a message are the same under any cut, and two other readers see the same parts.

Input: a message with the boundary `b`; where it is cut follows from its bytes.
"""

from __future__ import annotations

import random
import re
import zlib

from tests.multipart.oracle import Oracle
from tests.multipart.reading import Begin, Data, End, bytewise, read

from inference_gateway.multipart import Limits

LIMITS = Limits(parts=20, part_bytes=2000, headers=4, header_bytes=300)
BOUNDARY = b"b"


def pieces(data: bytes) -> list[bytes]:
    """The bytes in pieces; the same bytes always in the same ones."""
    chosen = random.Random(zlib.crc32(data))
    ends = sorted(chosen.randint(0, len(data)) for _ in range(chosen.randint(0, 12)))
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def check(data: bytes) -> None:
    """Holds the invariant against one input."""
    whole = read([data], BOUNDARY, LIMITS)
    assert read(pieces(data), BOUNDARY, LIMITS) == whole
    if len(data) < 300:
        assert read(bytewise(data), BOUNDARY, LIMITS) == whole
    if whole.error is not None:
        assert whole.error[0] in (400, 413, 415)
        return
    begun = None
    for event in whole.events:  # the offsets lead to the data
        match event:
            case Begin():
                begun, body = event, b""
            case Data():
                body = event.data
            case End():
                assert begun is not None
                assert data[begun.body_offset : event.body_end] == body
    assert [(len(fields), body) for fields, body in whole.parts] == reference(data)
    # python-multipart reads a part without a body as if the next one were its data, and stumbles over some of
    # what is tolerated: tests/multipart/test_oracle.py.
    plain = data.startswith(b"--") and data.endswith(b"--b--\r\n") and not re.search(rb"--b[ \t]", data)
    if plain and all(fields and body for fields, body in whole.parts):
        oracle = Oracle([data], BOUNDARY)
        assert oracle.ended
        assert oracle.parts == whole.parts


def reference(data: bytes) -> list[tuple[int, bytes]]:
    """The parts of a well-formed message as a regular expression sees them: count of fields, body."""
    inner = re.split(rb"(?:^|\r\n)--b[ \t]*(?:\r\n|--)", data.lstrip(b"\r\n"))[1:-1]
    parts = []
    for each in inner:
        header, _, body = (b"", b"", each[2:]) if each.startswith(b"\r\n") else each.partition(b"\r\n\r\n")
        parts.append((len([line for line in header.split(b"\r\n") if line]), body))
    return parts
