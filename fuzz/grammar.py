"""Invariant: a header value is read, or refused with the documented error; what is read reads the same again.

Input: a Content-Type value and a part's header line, with an LF between them.
"""

from __future__ import annotations

import re
from contextlib import suppress

from inference_gateway.errors import InvalidContentType, MultipartError
from inference_gateway.intake.header import RequestType
from inference_gateway.multipart import (
    Headers,
    check_boundary,
    filename_of,
    parse_header_line,
    parse_media_type,
)


def check(data: bytes) -> None:
    """Holds the invariant against one input."""
    value, _, line = data.partition(b"\n")
    check_content_type(value.decode("latin-1"))
    check_header_line(line)


def check_content_type(value: str) -> None:
    with suppress(InvalidContentType):
        RequestType.parse([value])
    try:
        found = parse_media_type(value)
    except MultipartError:
        return
    quoted = [
        f'{name}="' + re.sub(r'(["\\])', r"\\\1", text) + '"' for name, text in found.parameters.items()
    ]
    assert parse_media_type("; ".join([found.essence, *quoted])) == found
    boundary = found.parameters.get("boundary", "b")
    try:
        assert check_boundary(boundary).decode() == boundary
    except MultipartError:
        return
    assert 1 <= len(boundary) <= 200
    assert not boundary.endswith(" ")
    assert re.fullmatch("[0-9A-Za-z'()+_,./:=? -]+", boundary)


def check_header_line(line: bytes) -> None:
    try:
        name, value = parse_header_line(line)
    except MultipartError:
        return
    assert parse_header_line(f"{name}: {value}".encode()) == (name, value)
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", name + value)
    filename = filename_of(Headers([("Content-Disposition", value)]))
    assert filename is None or not re.search(r"[/\\\x00]", filename)
