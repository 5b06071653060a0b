"""One input, as a file that reads from the request's spool."""

from __future__ import annotations

import io
import operator
from typing import TYPE_CHECKING

from inference_gateway.multipart import Headers, filename_of, parse_header_line
from inference_gateway.payload.spool import Spool

if TYPE_CHECKING:
    from typing_extensions import Buffer


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
        self._buffer: memoryview | None = None  # kept to itself: callers may release what they get
        self._closed = False

    @property
    def headers(self) -> Headers:
        """Return the part's header fields, as sent; names are looked up without regard to case."""
        self._check_open()
        block = self._spool.read(self._header_offset, self._start)
        return Headers(parse_header_line(line) for line in block.split(b"\r\n") if line)

    @property
    def filename(self) -> str | None:
        """Return the last path component of the filename sent, or None. Never use it as a path."""
        return filename_of(self.headers)

    @property
    def content_type(self) -> str | None:
        """Return the part's own Content-Type, as sent, or None."""
        return self.headers.get("content-type")

    @property
    def offsets(self) -> tuple[int, int, int]:
        """Where the headers and the body begin in the spool, and where the body ends."""
        return self._header_offset, self._start, self._stop

    @property
    def size(self) -> int:
        """Return the length of the body in bytes."""
        return self._stop - self._start

    @property
    def closed(self) -> bool:
        """Tell whether the file is closed, or the request over that it belongs to."""
        return self._closed or self._spool.closed

    def head(self, size: int) -> bytes:
        """Return the first bytes, `size` at the most, and leave the position alone; of a closed part, too."""
        return self._spool.read(self._start, min(self._start + size, self._stop))

    def close(self) -> None:
        """Close this part only."""
        self._closed = True
        self._buffer = None

    def readable(self) -> bool:
        """Return True."""
        self._check_open()
        return True

    def seekable(self) -> bool:
        """Return True."""
        self._check_open()
        return True

    def tell(self) -> int:
        """Return the position, in bytes from the beginning."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position and return it. Raises `ValueError` before the beginning, as files do."""
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
        """Read up to `size` bytes, all that is left where it is negative or None."""
        self._check_open()
        start = min(self._start + self._position, self._stop)
        size = -1 if size is None else operator.index(size)
        stop = self._stop if size < 0 else min(start + size, self._stop)
        data = self._spool.read(start, stop)
        self._position += len(data)
        return data

    read1 = read

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer` as far as there are bytes; return how many."""
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
        """Read one line with its LF, `size` bytes at the most."""
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
        """Return all bytes, wherever the position is."""
        self._check_open()
        return self._spool.read(self._start, self._stop)

    def getbuffer(self) -> memoryview:
        """Return all bytes as a writable view; large parts are mapped, not read.

        Each call gives a view of its own, to be released without harm to the others; all of them show the
        same bytes. Unlike with `io.BytesIO`, writing to one does not change what `read` gives. A view stays
        good after the request has ended.
        """
        self._check_open()
        if self._buffer is None:
            self._buffer = self._spool.view(self._start, self._stop)
        return memoryview(self._buffer)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file: a part can be read until its request has ended")

    def __repr__(self) -> str:
        return f"<Part: {self.size} bytes>"
