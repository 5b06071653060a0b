"""The mirror of `Decoder`: headers and part ends in, the bytes between the bodies out.

Bodies do not pass through it: the caller sends `begin_part(...)`, the body as it is, `end_part()`, and
`finish()` at last. What it writes, `Decoder` reads back with the same headers and bodies. The caller takes a
boundary that no body contains: a random one of 128 bits or more.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from inference_gateway.errors import MultipartError
from inference_gateway.multipart.decoder import CRLF
from inference_gateway.multipart.grammar import Headers, check_boundary, check_repeated, parse_header_line


class Encoder:
    """Encodes one message (RFC 2046 §5.1). `boundary`: 1 to 200 characters of RFC 2046's set.

    Raises `MultipartError` where the boundary is none.
    """

    def __init__(self, boundary: str) -> None:
        self._dash_boundary = b"--" + check_boundary(boundary)

    def begin_part(self, headers: Iterable[tuple[str, str]]) -> bytes:
        """Return the delimiter line and the header block.

        Raises `MultipartError` for a header that `Decoder` would not read back as it is.
        """
        block = _header_block(tuple(headers))
        if block.startswith(self._dash_boundary) or CRLF + self._dash_boundary in block:
            raise MultipartError("a header line begins with the boundary")
        return self._dash_boundary + CRLF + block

    def end_part(self) -> bytes:
        """Return the line end between a body and the next delimiter, to which it belongs."""
        return CRLF

    def finish(self) -> bytes:
        """Return the close delimiter."""
        return self._dash_boundary + b"--" + CRLF


@lru_cache(maxsize=1024)
def _header_block(fields: tuple[tuple[str, str], ...]) -> bytes:
    """Return the header lines and the empty one. Raises where they would not be read back as they are."""
    check_repeated(Headers(fields))
    block = bytearray()
    for name, value in fields:
        try:
            line = f"{name}: {value}".encode()
        except UnicodeEncodeError:
            raise MultipartError("a header has a character that UTF-8 cannot hold") from None
        if parse_header_line(line) != (name, value):
            raise MultipartError("a header's name has a colon, or blanks stand around its value")
        block += line + CRLF
    return bytes(block + CRLF)
