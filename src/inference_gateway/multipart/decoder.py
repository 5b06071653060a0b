"""A strict, incremental decoder of multipart messages (RFC 2046 §5.1): bytes in, events out.

What always holds:
- The events, and the error if there is one, do not depend on how the input is cut into chunks
  (runs of `PartData` joined).
- Body data is handed out as views of the chunk it came in, never copied. A delimiter that may have begun
  at the end of a chunk is remembered as a number, not as bytes: it is the only place where the delimiter
  has a CR, so a partial match that fails hides no second one, and no byte is looked at more than twice.
- What is held between two chunks is at most one header line.

The grammar, with `boundary` from the Content-Type header:

    message        = *CRLF dash-boundary padding CRLF part *(delimiter padding CRLF part)
                     delimiter "--" epilogue
    dash-boundary  = "--" boundary
    delimiter      = CRLF dash-boundary          ; the CRLF may be the one that ends the part's headers
    part           = *(header CRLF) CRLF body
    padding        = *(SP / HTAB)
    epilogue       = *(SP / HTAB / CRLF)         ; RFC 2046 allows text here: it is refused
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from inference_gateway.errors import MultipartError
from inference_gateway.multipart.grammar import Headers, check_repeated, parse_header_line
from inference_gateway.multipart.search import find

CRLF = b"\r\n"
_EMPTY_LINES = re.compile(rb"(?:\r\n)*+")
_BLANKS = re.compile(rb"[ \t]*+")
_BLANK_LINES = re.compile(rb"(?:[ \t]++|\r\n)*+")
_DIGITS = re.compile(r"[0-9]{1,4000}")
_IDENTITY_ENCODINGS = frozenset({"binary", "8bit", "7bit"})  # RFC 2045 §6.2: nothing to undo

_TOO_LARGE, _UNSUPPORTED = 413, 415  # status hints (RFC 9110 §15.5.14, §15.5.16)
# The states: what is read next. Plain numbers, since to look an Enum's member up costs more than a step.
_PREAMBLE, _BOUNDARY, _PADDING, _HEADERS, _BODY, _EPILOGUE = range(6)

_BARE_LF = "a line ends with LF alone: end every line with CRLF"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may have; exactly at a limit is fine.

    `parts`: number of parts. `part_bytes`: body of one part. `headers`: number of header fields of one
    part. `header_bytes`: a part's header lines with their CRLFs, without the empty line after them.
    """

    parts: int = 10_000
    part_bytes: int = 4 << 30
    headers: int = 16
    header_bytes: int = 8 << 10


class PartBegin(NamedTuple):
    """A part's headers are complete. Offsets count from the message's first byte."""

    headers: Headers
    header_offset: int
    body_offset: int


class PartData(NamedTuple):
    """A run of body data: a view of the chunk given to `receive`, good until the next call."""

    data: memoryview


class PartEnd(NamedTuple):
    """The part is complete: a well-formed delimiter line begins at `body_end`.

    Offsets count from the message's first byte.
    """

    header_offset: int
    body_offset: int
    body_end: int


Event = PartBegin | PartData | PartEnd


# What a step of the decoder gives: where to go on, and the event. It goes as far as the input lets it decide.
_Step = tuple[int, Event | None]


def _over_limit(detail: str) -> MultipartError:
    return MultipartError(detail, _TOO_LARGE)


class Decoder:
    """Decodes one message.

    `boundary`: as in the Content-Type header, without the leading dashes. After an error, drop the decoder.
    """

    def __init__(self, boundary: bytes, limits: Limits | None = None) -> None:
        self._dash_boundary = b"--" + boundary
        self._delimiter = CRLF + self._dash_boundary
        self._limits = limits or Limits()
        self._state = _PREAMBLE
        self._received = 0  # bytes of the message given to receive() so far
        self._pending = b""  # the beginning of a line that is not complete yet; empty in a body
        self._parts = 0
        # The part that is being read:
        self._fields: list[tuple[str, str]] = []
        self._header_offset = 0
        self._header_bytes = 0
        self._body_offset = 0
        self._body_size = 0
        self._body_end = 0
        self._declared: int | None = None  # its Content-Length
        self._ceiling = 0  # the body size that ends in an error if exceeded
        # How much of the delimiter the end of the last chunk matched, and how much of that is not body
        # data if the match fails: the CRLF that ends the headers begins a delimiter too.
        self._matched = 0
        self._assumed = 0

    def receive(self, data: bytes | bytearray) -> Iterator[Event]:
        """Yield the events that `data`, the next bytes of the message, completes. Must be exhausted.

        Raises `MultipartError` at the byte that decides it; the events before that byte have been yielded.
        Its status hint is 413 where a limit is exceeded, 415 for an encoding, else 400.
        """
        base = self._received - len(self._pending)  # offset of data[0] in the message
        self._received += len(data)
        if self._pending:
            data = self._pending + data
            self._pending = b""
        position = 0
        while position < len(data):
            if self._state == _BODY:
                position = yield from self._body(data, position, base)
                continue
            begin = position
            position, event = _STEPS[self._state](self, data, begin, base)
            if event is not None:
                yield event
            if position == begin:  # more input is needed to decide
                self._pending = bytes(data[begin:])
                return

    def finish(self) -> None:
        """Say that the input has ended. Raises `MultipartError` where the message is not whole."""
        if not self._received:
            raise MultipartError("the body is empty")
        if self._state != _EPILOGUE or self._pending:
            raise MultipartError("the body is truncated: it ends before the close delimiter")

    def _preamble(self, data: bytes | bytearray, position: int, base: int) -> _Step:
        """Read empty lines, then the first delimiter's dash-boundary."""
        match = _EMPTY_LINES.match(data, position)
        start = match.end() if match else position
        head = data[start : start + len(self._dash_boundary)]
        if head == self._dash_boundary:
            return self._boundary(data, start + len(head), base)
        if start + len(head) == len(data) and (self._dash_boundary.startswith(head) or head == b"\r"):
            return start, None
        if head[:1] == b"\n":
            raise MultipartError(_BARE_LF)
        if head[:2] == b"--":
            raise MultipartError(
                "the delimiter in the body is not the boundary of the Content-Type header: "
                "let the library that makes the body write that header, or give it the same boundary"
            )
        raise MultipartError("there is text before the first delimiter")

    def _boundary(self, data: bytes | bytearray, position: int, base: int) -> _Step:
        """Read what comes right after a boundary: two dashes make it the close delimiter."""
        self._state = _BOUNDARY
        if data.startswith(b"--", position):
            if not self._parts:
                raise MultipartError("the body has no part")
            self._state = _EPILOGUE
            return position + 2, self._part_end()
        if position == len(data) or (data.startswith(b"-", position) and position + 1 == len(data)):
            return position, None
        return self._padding(data, position, base)

    def _padding(self, data: bytes | bytearray, position: int, base: int) -> _Step:
        """Read blanks (RFC 2046: transport-padding) and the CRLF that ends a delimiter line."""
        self._state = _PADDING
        match = _BLANKS.match(data, position)
        end = match.end() if match else position
        if data.startswith(CRLF, end):
            event = self._part_end() if self._parts else None
            self._begin_headers(base + end + 2)
            return end + 2, event
        if end == len(data):
            return end, None
        if end + 1 == len(data) and data.startswith(b"\r", end):
            return end, None
        if data.startswith(b"\n", end):
            raise MultipartError(_BARE_LF)
        raise MultipartError("a line begins with the boundary but is not a well-formed delimiter")

    def _begin_headers(self, offset: int) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise _over_limit(f"there are more parts than the limit of {self._limits.parts}")
        self._state = _HEADERS
        self._fields = []
        self._header_offset = offset
        self._header_bytes = 0

    def _header_lines(self, data: bytes | bytearray, position: int, base: int) -> _Step:
        """Read the lines of a header block; an empty one ends it."""
        while not data.startswith(CRLF, position):
            room = self._limits.header_bytes - self._header_bytes
            end = data.find(b"\n", position, position + room) + 1
            if not end:
                rest = len(data) - position
                if rest > room and not (rest == 1 and data.startswith(b"\r", position)):
                    raise _over_limit(
                        f"a part has more bytes of headers than the limit of {self._limits.header_bytes}"
                    )
                return position, None
            line = bytes(data[position:end])
            if line[-2:] != CRLF:
                raise MultipartError(_BARE_LF)
            if line.startswith(self._dash_boundary):
                raise MultipartError("a part's headers run into a delimiter: the empty line is missing")
            if len(self._fields) == self._limits.headers:
                raise _over_limit(f"a part has more headers than the limit of {self._limits.headers}")
            self._fields.append(parse_header_line(line[:-2], self._fields))
            self._header_bytes += len(line)
            position = end
        return position + 2, self._begin_body(base + position + 2)

    def _begin_body(self, offset: int) -> PartBegin:
        headers = Headers(self._fields)
        check_repeated(headers)
        if "content-encoding" in headers:
            raise MultipartError("a part has a Content-Encoding: send its bytes as they are", _UNSUPPORTED)
        encoding = headers.get("content-transfer-encoding")
        if encoding is not None and encoding.lower() not in _IDENTITY_ENCODINGS:
            raise MultipartError(
                "a part has a Content-Transfer-Encoding other than binary, 8bit or 7bit: send it as it is",
                _UNSUPPORTED,
            )
        self._declared = None
        self._ceiling = self._limits.part_bytes
        length = headers.get("content-length")
        if length is not None:
            if not _DIGITS.fullmatch(length):
                raise MultipartError("a part's Content-Length is not a number")
            self._declared = int(length)
            self._ceiling = min(self._ceiling, self._declared)
        self._state = _BODY
        self._body_offset = offset
        self._body_size = 0
        self._matched = self._assumed = len(CRLF)
        return PartBegin(headers, self._header_offset, offset)

    def _body(self, data: bytes | bytearray, position: int, base: int) -> Generator[Event, None, int]:
        """Read body data up to the next delimiter or the end of the chunk; return where that is."""
        delimiter = self._delimiter
        if self._matched:  # go on with a delimiter that began in the last chunk
            expected = delimiter[self._matched : self._matched + len(data) - position]
            if data.startswith(expected, position):
                self._matched += len(expected)
                position += len(expected)
                if self._matched == len(delimiter):
                    self._end_body(base + position)
                return position
            held = delimiter[self._assumed : self._matched]
            self._matched = 0
            if held:
                yield from self._data(memoryview(held))
        end = find(data, delimiter, position)
        if end >= 0:
            yield from self._data(memoryview(data)[position:end])
            self._end_body(base + end + len(delimiter))
            return end + len(delimiter)
        # The chunk may end within a delimiter. Its only CR is its first byte, so look at the last CR.
        end = data.rfind(b"\r", max(position, len(data) - len(delimiter) + 1))
        if end >= 0 and delimiter.startswith(data[end:]):
            self._matched, self._assumed = len(data) - end, 0
        else:
            end = len(data)
        yield from self._data(memoryview(data)[position:end])
        return len(data)

    def _data(self, view: memoryview) -> Iterator[Event]:
        room = self._ceiling - self._body_size
        self._body_size += len(view)
        if view and room:
            yield PartData(view[:room])
        if len(view) > room:
            if self._ceiling == self._declared:
                raise MultipartError("a part's Content-Length is smaller than the part")
            raise _over_limit(f"a part is larger than the limit of {self._limits.part_bytes} bytes")

    def _end_body(self, offset: int) -> None:
        """Note that a body has ended; `offset` is that of the first byte after the boundary."""
        self._matched = 0
        self._body_end = max(self._body_offset, offset - len(self._delimiter))
        self._state = _BOUNDARY

    def _part_end(self) -> PartEnd:
        if self._declared not in (None, self._body_size):
            raise MultipartError("a part's Content-Length is larger than the part")
        return PartEnd(self._header_offset, self._body_offset, self._body_end)

    def _epilogue(self, data: bytes | bytearray, position: int, base: int) -> _Step:
        """Read blanks and CRLFs. RFC 2046 lets any text stand here, but it may as well be a lost part."""
        match = _BLANK_LINES.match(data, position)
        end = match.end() if match else position
        if end == len(data):
            return end, None
        if end + 1 == len(data) and data.startswith(b"\r", end):
            return end, None
        raise MultipartError("there is something after the close delimiter")


_STEPS: dict[int, Callable[[Decoder, bytes | bytearray, int, int], _Step]] = {
    _PREAMBLE: Decoder._preamble,
    _BOUNDARY: Decoder._boundary,
    _PADDING: Decoder._padding,
    _HEADERS: Decoder._header_lines,
    _EPILOGUE: Decoder._epilogue,
}
"""What reads on in each state but a body."""
