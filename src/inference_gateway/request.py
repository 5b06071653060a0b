"""From body bytes to what the model is called with.

`RequestAssembler` takes the body in runs and, over the same bytes, spools, decodes and hashes them; what it
keeps of a part is three offsets into the spool. `InferenceRequest` is the whole of it. Everything here
blocks: it runs beside the event loop.
"""

from __future__ import annotations

import codecs
import encodings.aliases
import hashlib
import io
import json
import operator
import pkgutil
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from inference_gateway.errors import (
    InvalidContentType,
    InvalidRootPart,
    LimitExceeded,
    MalformedMultipart,
)
from inference_gateway.multipart import (
    Decoder,
    Headers,
    PartBegin,
    PartData,
    check_boundary,
    filename_of,
    parse_header_line,
    parse_media_type,
)
from inference_gateway.spool import Spool

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from inference_gateway.settings import Settings  # pydantic is no matter of the client

# Deeper JSON is refused: the parser's own limit depends on how deep the stack happens to be.
_MAX_JSON_DEPTH = 500

# Python's text codecs that are no charsets.
_NOT_CHARSETS = frozenset(
    {"charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}
)

# Lines are looked for in blocks of this size.
_LINE_BLOCK = 8 << 10


class Part(io.BufferedIOBase):
    """One input: a seekable binary file, read-only, at position 0, as `io.BytesIO` is to a reader.

    Its bytes are read from the request's spool. Reading different parts from different threads is safe.
    After the request has ended it is a closed file: every operation raises `ValueError`.
    """

    def __init__(self, spool: Spool, header_offset: int, body_offset: int, body_end: int) -> None:
        self._spool = spool
        self._header_offset = header_offset
        self._start = body_offset
        self._stop = body_end
        self._position = 0
        self._buffer: memoryview | None = None
        self._closed = False

    @property
    def headers(self) -> Headers:
        """The part's header fields, as sent; names are looked up without regard to case."""
        self._check_open()
        block = self._spool.read(self._header_offset, self._start)
        return Headers(parse_header_line(line) for line in block.split(b"\r\n") if line)

    @property
    def filename(self) -> str | None:
        """The last path component of the Content-Disposition's filename, or None. Never use it as a path."""
        return filename_of(self.headers)

    @property
    def content_type(self) -> str | None:
        """The part's own Content-Type, as sent, or None."""
        return self.headers.get("content-type")

    @property
    def size(self) -> int:
        """Length of the body in bytes."""
        return self._stop - self._start

    @property
    def closed(self) -> bool:
        """Whether the file, or the request it belongs to, is over."""
        return self._closed or self._spool.closed

    def close(self) -> None:
        """Closes this part only."""
        self._closed = True
        self._buffer = None

    def readable(self) -> bool:
        """True."""
        self._check_open()
        return True

    def seekable(self) -> bool:
        """True."""
        self._check_open()
        return True

    def tell(self) -> int:
        """The position, in bytes from the beginning."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Sets the position and returns it. Raises `ValueError` before the beginning, as files do."""
        self._check_open()
        offset = operator.index(offset)
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}.get(whence)
        if base is None:
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        if base + offset < 0 and whence == io.SEEK_SET:
            raise ValueError(f"negative seek value {offset}")
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes, all that is left where it is negative or None."""
        self._check_open()
        start = min(self._start + self._position, self._stop)
        size = -1 if size is None else operator.index(size)
        stop = self._stop if size < 0 else min(start + size, self._stop)
        data = self._spool.read(start, stop)
        self._position += len(data)
        return data

    read1 = read

    def readinto(self, buffer: Buffer, /) -> int:
        """Fills `buffer` as far as there are bytes; returns how many."""
        self._check_open()
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise TypeError("readinto() needs a buffer that can be written to")
        start = min(self._start + self._position, self._stop)
        view = view[: self._stop - start]
        self._spool.readinto(start, view)
        self._position += len(view)
        return len(view)

    readinto1 = readinto

    def readline(self, size: int | None = -1, /) -> bytes:
        """One line with its LF, `size` bytes at the most."""
        self._check_open()
        begin, pieces = self._position, []
        size = -1 if size is None else operator.index(size)
        left = self.size if size < 0 else size
        while left > 0 and (block := self.read(min(_LINE_BLOCK, left))):
            end = block.find(b"\n") + 1
            pieces.append(block[:end] if end else block)
            left -= len(block)
            if end:
                break
        line = b"".join(pieces)
        self._position = begin + len(line)
        return line

    def getvalue(self) -> bytes:
        """All bytes, wherever the position is."""
        self._check_open()
        return self._spool.read(self._start, self._stop)

    def getbuffer(self) -> memoryview:
        """All bytes as a writable view; large parts are mapped, not read.

        Unlike with `io.BytesIO`, writing to it does not change what `read` gives. It stays good after the
        request has ended.
        """
        self._check_open()
        if self._buffer is None:
            self._buffer = self._spool.view(self._start, self._stop)
        return self._buffer

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file: a part can be read until its request has ended")

    def __repr__(self) -> str:
        return f"<Part: {self.size} bytes>"


class RequestType(NamedTuple):
    """What the request's Content-Type says (RFC 2387 §3): how to read the body."""

    boundary: bytes
    charset: str
    start: str | None

    @classmethod
    def parse(cls, values: Sequence[str]) -> RequestType:
        """`values`: all Content-Type headers of the request; raises `InvalidContentType`."""
        if len(values) != 1:
            raise InvalidContentType(
                "invalid content-type: send exactly one Content-Type header, multipart/related; boundary=..."
            )
        essence = values[0].partition(";")[0].strip(" \t").lower()
        if essence != "multipart/related":
            raise InvalidContentType("invalid content-type: send multipart/related; boundary=...")
        parameters = parse_media_type(values[0]).parameters
        if "boundary" not in parameters:
            raise InvalidContentType("invalid content-type: the boundary parameter is missing")
        return cls(
            boundary=check_boundary(parameters["boundary"]),
            charset=_charset(parameters.get("charset", "utf-8")),
            start=parameters.get("start"),
        )


class InferenceRequest(NamedTuple):
    """A whole request. `input_hash`: SHA-256 hex over all part bodies, root included, in order of arrival."""

    json_input: Any
    inputs: list[Part]
    input_hash: str
    spool: Spool


class RequestAssembler:
    """Takes one body, run by run; `finish` gives the request. Blocks.

    Each run is to be given to `decode` and to `store`, in order; the two may go on at the same time.

    Memory: what the spool keeps in memory, and some 200 bytes for each part.
    """

    def __init__(self, request_type: RequestType, spool: Spool, settings: Settings) -> None:
        self.spool = spool
        self._type = request_type
        self._max_root_bytes = settings.max_root_bytes
        self._decoder = Decoder(request_type.boundary, settings.part_limits)
        self._digest = hashlib.sha256()
        self._parts: list[Part] = []
        self._root: Part | None = None
        self._content_ids: set[bytes] = set()
        self._begun = (0, 0)  # where the part's headers and its body begin
        self._is_root = False
        self._root_bytes = 0

    def finish(self, data: bytes | bytearray = b"") -> InferenceRequest:
        """The body ends with `data`: the request. Raises `RequestError`."""
        self.feed(data)
        self._decoder.finish()
        if self._root is None:
            raise InvalidRootPart("the start parameter names no part: give it the root part's Content-ID")
        json_input = parse_json(self._root.getvalue(), self._type.charset)
        inputs = [part for part in self._parts if part is not self._root]
        return InferenceRequest(json_input, inputs, self._digest.hexdigest(), self.spool)

    def feed(self, data: bytes | bytearray) -> None:
        """Decodes, keeps and hashes the next bytes of the body. Raises `RequestError`."""
        runs = self.decode(data)
        self.store(data)
        self.hash(runs)

    def store(self, data: bytes | bytearray) -> None:
        """Keeps the next bytes of the body. Raises `InsufficientStorage`."""
        self.spool.append(data)

    def hash(self, runs: list[memoryview]) -> None:
        """Hashes the next runs of part bodies."""
        for run in runs:
            self._digest.update(run)

    def decode(self, data: bytes | bytearray) -> list[memoryview]:
        """Decodes the next bytes of the body: the runs of part bodies in it. Raises `RequestError`."""
        runs = []
        for event in self._decoder.receive(data):
            match event:
                case PartData(run):
                    runs.append(run)
                    if self._is_root:
                        self._root_bytes += len(run)
                        if self._root_bytes > self._max_root_bytes:
                            raise LimitExceeded(
                                f"the root part is larger than the limit of {self._max_root_bytes} bytes"
                            )
                case PartBegin(headers):
                    self._begin(event, headers)
                case _:
                    self._end(event.body_end)
        return runs

    def _begin(self, event: PartBegin, headers: Headers) -> None:
        content_id = headers.get("content-id")
        if content_id:
            # Ten thousand long ones would take memory: keep digests.
            digest = hashlib.blake2b(content_id.encode(), digest_size=16).digest()
            if digest in self._content_ids:
                raise MalformedMultipart("two parts have the same Content-ID")
            self._content_ids.add(digest)
        start = self._type.start
        self._is_root = not self._parts if start is None else content_id == start
        self._begun = event.header_offset, event.body_offset

    def _end(self, body_end: int) -> None:
        part = Part(self.spool, *self._begun, body_end)
        self._parts.append(part)
        if self._is_root:
            self._root = part


def parse_json(data: bytes, charset: str) -> Any:
    """The root part's JSON, as Python's `json` reads it (NaN, repeated keys and all).

    Raises `InvalidRootPart` where it is not valid in `charset`, begins with a byte order mark, is nested
    deeper than 500, or has an integer too long to read.
    """
    try:
        value = json.loads(data.decode(charset))
    except RecursionError:
        raise InvalidRootPart("the root part's JSON is nested too deep") from None
    except ValueError:  # UnicodeError, JSONDecodeError, an integer over sys.get_int_max_str_digits()
        raise InvalidRootPart(
            "the root part is not valid JSON in the request's charset (utf-8 unless declared)"
        ) from None
    if data.count(b"[") + data.count(b"{") > _MAX_JSON_DEPTH and _deeper_than(value, _MAX_JSON_DEPTH):
        raise InvalidRootPart("the root part's JSON is nested too deep")
    return value


def _deeper_than(value: Any, depth: int) -> bool:
    """Whether lists and dicts are nested deeper than `depth`; level by level, not by recursion."""
    level: list[Any] = [value]
    for _ in range(depth + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        level = [inner for item in containers for inner in _inner(item)]
        if not containers:
            return False
    return True


def _inner(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


# Normalized names of all codecs. Only these are looked up: Python remembers each name that it ever failed
# to find, and a client could fill the memory with them.
_CODEC_NAMES = frozenset(encodings.aliases.aliases) | {
    module.name for module in pkgutil.iter_modules(encodings.__path__)
}


@lru_cache(maxsize=64)
def _charset(name: str) -> str:
    """The codec's name for a charset; raises `InvalidContentType` for what is none."""
    normalized = encodings.normalize_encoding(name).lower()
    if normalized in _CODEC_NAMES:
        try:
            codec = codecs.lookup(normalized)
        except LookupError:  # a module of the package that is no codec, or not on this platform
            codec = None
        if codec and codec._is_text_encoding and codec.name.replace("-", "_") not in _NOT_CHARSETS:
            return codec.name
    raise InvalidContentType("invalid content-type: the charset is unknown")
