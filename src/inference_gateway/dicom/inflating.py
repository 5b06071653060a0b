"""A deflated data set (PS3.5 A.5) → a plain one in Explicit VR Little Endian, inflated while it is read.

What a file of one megabyte inflates to can be gigabytes: nothing of it is kept, and reading ends at a limit.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from struct import unpack
from typing import Any, Protocol, cast

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from inference_gateway.dicom.limits import LimitError

_PREAMBLE = 132
_BLOCK = 1 << 16

# Value representations whose length takes four bytes more (PS3.5 7.1.2), of those that group 2 may have.
_LONG = (b"OB", b"UN", b"UT", b"UR", b"UC")


class Readable(Protocol):
    """What is asked of a file."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, all that are left for -1."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to an offset; return it from the start."""
        ...

    def tell(self) -> int:
        """Return the offset from the start."""
        ...


def inflated(file: Readable, most: int) -> Readable:
    """Return a file as it is, or one that inflates its data set to `most` bytes; both stand at their start.

    Reading more raises `LimitError`.
    """
    head = _deflated_head(file)
    start = file.tell()
    file.seek(0)
    if head is None:
        return file
    return cast(Readable, io.BufferedReader(_Inflating(file, head, start, most), _BLOCK))


def _deflated_head(file: Readable) -> bytes | None:
    """Return preamble and file meta information of a deflated file, None of another; stand after them."""
    name = DeflatedExplicitVRLittleEndian.encode()
    file.seek(0)
    if name not in file.read(_BLOCK):
        return None
    file.seek(_PREAMBLE)
    found = b""
    while len(head := file.read(8)) == 8:
        group, element, vr, length = unpack("<HH2sH", head)
        if group != 2:
            file.seek(-8, io.SEEK_CUR)
            break
        if vr in _LONG:
            length = int.from_bytes(file.read(4), "little")
        value = file.read(length)
        found = value.rstrip(b" \0") if element == 0x10 else found
    if found != name:
        return None
    end = file.tell()
    file.seek(0)
    plain = ExplicitVRLittleEndian.encode().ljust(len(name), b"\0")  # padding that is not part of a UID
    return file.read(end).replace(name, plain)


class _Inflating(io.RawIOBase):
    """A head, then what a file inflates to from `start` on; a seek back begins again.

    Raises `LimitError` once it comes to more than `most` bytes, `EOFError` where the file ends too soon.
    """

    name = None  # pydicom asks a buffered file for one

    def __init__(self, file: Readable, head: bytes, start: int, most: int) -> None:
        self._file, self._head, self._start, self._most = file, head, start, most
        self._begin()

    def _begin(self) -> None:
        self._file.seek(self._start)
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        self._deflated = b""
        self._next = self._head
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if not self._next:
            self._next = self._inflate()
        block = self._next[: len(view)]
        view[: len(block)] = block
        self._next = self._next[len(block) :]
        self._position += len(block)
        return len(block)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END:
            self._skip(lambda: _BLOCK)
        target = offset + (0 if whence == io.SEEK_SET else self._position)
        if target < self._position:
            self._begin()
        self._skip(lambda: target - self._position)
        return self._position

    def _skip(self, left: Callable[[], int]) -> None:
        trash = memoryview(bytearray(_BLOCK))
        while left() > 0 and self.readinto(trash[: left()]):
            pass

    def _inflate(self) -> bytes:
        """Return the next block, b"" at the end."""
        while not self._zlib.eof:
            if self._position > self._most:
                raise LimitError(f"a deflated data set of more than {self._most:,} bytes")
            self._deflated = self._deflated or self._file.read(_BLOCK)
            if not self._deflated:
                raise EOFError("a deflated data set that is cut")
            block = self._zlib.decompress(self._deflated, _BLOCK)
            self._deflated = self._zlib.unconsumed_tail
            if block:
                return block
        return b""
