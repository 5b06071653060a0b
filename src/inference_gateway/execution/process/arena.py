"""Memory of a result that the gateway maps instead of copying: one memfd for each call (memfd_create(2)).

An array that `empty` gave lies in it from the beginning. What else is to cross is written to it once. It is
sealed against shrinking before it is handed over: a mapping of a file that shrinks is a crash of the reader.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 64 << 20  # bytes mapped at once, as room for many small arrays; untouched pages cost nothing
_ALIGNMENT = 4096


class Arena:
    """The memory of one call. Not for several threads at once."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("result", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._end = 0  # of what is in use
        self._chunks: list[tuple[int, int, int, mmap.mmap]] = []  # address, offset, size

    def empty(self, shape: Any, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        """Return a new zeroed array, C order, which crosses to the gateway without a copy."""
        dtype = np.dtype(dtype)
        if dtype.hasobject:
            raise TypeError("an array of objects cannot be shared between processes")
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        size = math.prod(shape) * dtype.itemsize
        if not size:
            return np.empty(shape, dtype)
        offset, chunk = self._room(size)
        return np.frombuffer(chunk, dtype, math.prod(shape), offset).reshape(shape)

    def _room(self, size: int) -> tuple[int, mmap.mmap]:
        if self._chunks:
            _, begin, length, chunk = self._chunks[-1]
            at = -(-self._end // _ALIGNMENT) * _ALIGNMENT
            if begin <= at and at + size <= begin + length:
                self._end = at + size
                return at - begin, chunk
        begin = -(-self._end // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        length = max(_CHUNK, size)
        os.ftruncate(self._descriptor, begin + length)
        chunk = mmap.mmap(self._descriptor, length, offset=begin)
        address = np.frombuffer(chunk, np.uint8, 1).ctypes.data
        self._chunks.append((address, begin, length, chunk))
        self._end = begin + size
        return 0, chunk

    def offset_of(self, view: memoryview) -> int | None:
        """Return where in the arena `view`, contiguous and not empty, lies; None where it lies elsewhere."""
        address = np.frombuffer(view, np.uint8).ctypes.data
        for begin, offset, size, _ in self._chunks:
            if begin <= address and address + len(view) <= begin + size:
                return offset + address - begin
        return None

    def write(self, blocks: Iterable[bytes | memoryview]) -> tuple[int, int]:
        """Add bytes at the end; return their offset and size."""
        begin = self._end
        for block in blocks:
            view = memoryview(block)
            while view:
                written = os.pwrite(self._descriptor, view, self._end)
                self._end += written
                view = view[written:]
        return begin, self._end - begin

    def seal(self) -> int:
        """Return the descriptor, of a file that cannot shrink any more. It stays the arena's."""
        fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return self._descriptor

    def close(self) -> None:
        """Let go. Arrays that somebody keeps stay good."""
        os.close(self._descriptor)
        self._chunks.clear()


def map_sealed(descriptor: int) -> mmap.mmap:
    """Map an arena that came from another process. Raises `ValueError` where it might shrink."""
    if not fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
        raise ValueError("the memory of a result is not sealed")
    return mmap.mmap(descriptor, os.fstat(descriptor).st_size, access=mmap.ACCESS_READ)
