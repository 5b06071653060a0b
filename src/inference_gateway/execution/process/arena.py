"""Memory of a result that the gateway maps instead of copying: one memfd for each call (memfd_create(2)).

An array that `empty` gave lies in it from the beginning. What else is to cross is written to it once. It is
sealed against shrinking before it is handed over: a mapping of a file that shrinks is a crash of the reader.

New pages cost more than all else: the kernel clears each, and both sides fault on each. So a process keeps
two arenas, and the gateway its mappings of them. One is used again when the last view of it is gone on both
sides, and its memory goes back to the system when it has been idle. `empty` clears what a call before has
left there, and the gateway sends of an arena only what a result names: nothing of one request comes into the
answer of another.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import operator
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 64 << 20  # bytes mapped at once, as room for many small arrays; untouched pages cost nothing
_KEPT = 2  # arenas of a process: one is filled while the gateway sends the other

Bytes = npt.NDArray[np.uint8]


def _dimensions(shape: Any) -> tuple[int, ...]:
    """Return a shape in Python's integers: NumPy's, such as a header's, overflow when they are multiplied."""
    try:
        dimensions: tuple[int, ...] = (operator.index(shape),)
    except TypeError:
        dimensions = tuple(operator.index(dimension) for dimension in shape)
    if any(dimension < 0 for dimension in dimensions):
        raise ValueError("negative dimensions are not allowed")
    return dimensions


class Arena:
    """The memory of one call, and then of the next. Not for several threads at once.

    `size`: bytes to begin with; it grows where that is too little. `place`: where it is kept, None for one
    that is not. `most`: bytes for the arrays of a call, 0 for no limit. `lent`: the gateway may have views of
    it.
    """

    def __init__(self, size: int = 0, place: int | None = None, most: int = 0) -> None:
        self._most = most
        self.place = place
        self.lent = False
        self.is_known = False  # to the gateway, which has mapped it
        self._descriptor = os.memfd_create("result", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._size = size or _CHUNK
        self._end = 0  # of what is in use
        self._dirty = 0  # the end of what earlier calls have written
        self._mapping: mmap.mmap | None = None  # of the first `size` bytes
        self._chunks: list[tuple[int, Bytes]] = []  # what arrays are parts of, and its offset in the file
        self._views: weakref.ref[Bytes] | None = None  # dead when the last array of an earlier call is
        os.ftruncate(self._descriptor, self._size)

    def empty(self, shape: Any, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        """Return a new zeroed array, C order, which crosses to the gateway without a copy.

        Raises what `np.zeros` raises for a shape that is none, and `MemoryError` over the limit.
        """
        dtype = np.dtype(dtype)
        if dtype.hasobject:
            raise TypeError("an array of objects cannot be shared between processes")
        shape = _dimensions(shape)
        size = math.prod(shape) * dtype.itemsize
        if not size:
            return np.zeros(shape, dtype)
        if self._most and self._end + size > self._most:  # the kernel does not count it as data
            raise MemoryError(f"an array of {size} bytes is over GATEWAY_MODEL_MEMORY_BYTES")
        try:
            begin, room = self._room(size)
        except (OSError, OverflowError, ValueError):  # more than a file, or the address space, can be
            raise MemoryError(f"there is no room for an array of {size} bytes") from None
        room[: max(0, self._dirty - begin)] = 0
        return room.view(dtype).reshape(shape)

    def _room(self, size: int) -> tuple[int, Bytes]:
        """Return `size` bytes, and their offset in the file."""
        begin = -(-self._end // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        if not self._chunks and begin + size <= self._size:
            self._add_chunk(0, self._map())
        if self._chunks:
            offset, chunk = self._chunks[-1]
            if offset <= begin and begin + size <= offset + len(chunk):
                self._end = begin + size
                return begin, chunk[begin - offset : begin - offset + size]
        length = max(_CHUNK, size)
        if begin + length > os.fstat(self._descriptor).st_size:
            os.ftruncate(self._descriptor, begin + length)
        self._add_chunk(begin, mmap.mmap(self._descriptor, length, offset=begin))
        self._end = begin + size
        return begin, self._chunks[-1][1][:size]

    def _add_chunk(self, offset: int, mapping: mmap.mmap) -> None:
        self._chunks.append((offset, np.frombuffer(mapping, np.uint8)))

    def _map(self) -> mmap.mmap:
        if self._mapping is None:
            self._mapping = mmap.mmap(self._descriptor, self._size)
        return self._mapping

    def offset_of(self, view: memoryview) -> int | None:
        """Return where in the arena `view`, contiguous and not empty, lies; None where it lies elsewhere."""
        address = np.frombuffer(view, np.uint8).ctypes.data
        for offset, chunk in self._chunks:
            begin = chunk.ctypes.data
            if begin <= address and address + len(view) <= begin + len(chunk):
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
        if self.place is None:  # it is not used again: nothing behind the end need cross
            os.ftruncate(self._descriptor, self._end)
        fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return self._descriptor

    @property
    def size(self) -> int:
        """Return how many bytes it was made for or has come to need."""
        return max(self._size, self._end)

    @property
    def has_grown(self) -> bool:
        """Whether it was too small: then it is not used again."""
        return self._end > self._size

    @property
    def is_free(self) -> bool:
        """Whether nobody sees it: not the gateway, and no array of an earlier call that the model keeps."""
        return not self.lent and (self._views is None or self._views() is None)

    @property
    def holds_memory(self) -> bool:
        """Whether `forget` frees any."""
        return self._dirty > 0

    def recycle(self) -> None:
        """End a call. The arrays that the model keeps stay good; until the last is gone it is not free."""
        if self._chunks:
            self._views = weakref.ref(self._chunks[0][1])
        self._chunks.clear()
        self._dirty = max(self._dirty, self._end)
        self._end = 0

    def forget(self) -> None:
        """Give its memory back to the system, after `recycle`; nothing is left of what was in it."""
        self._map().madvise(mmap.MADV_REMOVE)
        self._dirty = 0

    def close(self) -> None:
        """Let go. Arrays that somebody keeps stay good."""
        os.close(self._descriptor)
        self._chunks.clear()
        self._mapping = None


class Arenas:
    """The arenas of a process. `take` and `give_back` are for one thread, the rest is for others.

    `most`: bytes for the arrays of a call, 0 for no limit. `kept`: how many are used again.
    """

    def __init__(self, most: int = 0, kept: int = _KEPT) -> None:
        self._most = most
        self._kept: list[Arena | None] = [None] * kept
        self._size = 0  # bytes that were needed
        self._lock = threading.Lock()  # is an arena taken, or does it forget?
        self._taken: Arena | None = None

    def take(self) -> Arena:
        """Return an arena for one call."""
        with self._lock:
            free = [arena for arena in self._kept if arena is not None and arena.is_free]
            if free:
                self._taken = max(free, key=lambda arena: arena.holds_memory)
            elif None in self._kept:
                place = self._kept.index(None)
                self._taken = self._kept[place] = Arena(self._size, place, self._most)
            else:
                self._taken = Arena(self._size, None, self._most)
            return self._taken

    def give_back(self) -> None:
        """End the call: the arena is used again, unless it was too small."""
        with self._lock:
            arena, self._taken = self._taken, None
            if arena is None:
                return
            self._size = arena.size
            is_kept = arena.place is not None and not arena.has_grown
            arena.recycle()
            if arena.is_free and arena.holds_memory:  # nothing of it went to the gateway, which may map it
                arena.forget()
            if not is_kept:
                if arena.place is not None:
                    self._kept[arena.place] = None
                arena.close()

    def returned(self, place: int) -> None:
        """Take back the arena of this place, of which the gateway has no view any more."""
        with self._lock:
            arena = self._kept[place]
            if arena is not None:
                arena.lent = False

    @property
    def hold_memory(self) -> bool:
        """Whether `forget` frees any."""
        return any(map(self._is_idle, self._kept))

    def forget(self) -> None:
        """Give the memory of what is idle back to the system."""
        with self._lock:
            for arena in filter(self._is_idle, self._kept):
                assert arena is not None
                arena.forget()

    def _is_idle(self, arena: Arena | None) -> bool:
        return arena is not None and arena is not self._taken and arena.is_free and arena.holds_memory


class Borrowed:
    """The gateway's mappings of a process's arenas.

    `give_back(place)` is called, on any thread, when the last view of one is gone that is to be used again.
    """

    def __init__(self, give_back: Callable[[int], None]) -> None:
        self._give_back = give_back
        self._mappings: dict[int, mmap.mmap] = {}

    def view(self, place: int | None, again: bool, descriptor: int | None) -> memoryview:
        """Return all bytes of an arena. `descriptor`: where it is not known yet, for the caller to close.

        Raises `ValueError` where it might shrink.
        """
        if descriptor is not None:
            mapping = map_sealed(descriptor)
        else:
            assert place is not None
            mapping = self._mappings[place]
        if place is not None:
            self._mappings.pop(place, None)
            if again:
                self._mappings[place] = mapping
        every = np.frombuffer(mapping, np.uint8)  # each view of it keeps this alive
        if place is not None and again:
            weakref.finalize(every, self._give_back, place).atexit = False
        return every.data

    def close(self) -> None:
        """Keep no mapping any longer than there are views of it."""
        self._mappings.clear()


def map_sealed(descriptor: int) -> mmap.mmap:
    """Map an arena that came from another process. Raises `ValueError` where it might shrink."""
    if not fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
        raise ValueError("the memory of a result is not sealed")
    return mmap.mmap(descriptor, os.fstat(descriptor).st_size, access=mmap.ACCESS_READ)
