"""Looking for a delimiter in a large buffer, without holding Python's lock.

`bytes.find` holds the lock: while one thread scans a window the event loop stands still, and so do the other
uploads. The C library's `memmem` is called without it, and is faster than `find` too. Both are linear here,
but each knows bytes that take it up to a hundred times as long. They are not the same bytes: so the buffer is
looked through piece by piece, and where one of them was slow the other goes on.
"""

from __future__ import annotations

import ctypes
import sys
from time import thread_time

_AHEAD = 16 << 10  # bytes: a delimiter so near is found sooner than a C function is called
_FROM = 64 << 10  # bytes: in less than that, the lock is held for some microseconds only
_PIECE = 256 << 10  # bytes
_SLOW = 150e-6  # seconds of processor time for a piece: 1.7 GB/s

_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t
)
# glibc and musl have it in linear time; of others we do not know.
_memmem = _PROTOTYPE(("memmem", ctypes.CDLL(None))) if sys.platform.startswith("linux") else None


def find(data: bytes | bytearray, delimiter: bytes, start: int) -> int:
    """Return what `data.find(delimiter, start)` returns."""
    if _memmem is None or len(data) - start < _FROM or not isinstance(data, bytearray):
        return data.find(delimiter, start)
    near = data.find(delimiter, start, start + _AHEAD)
    return near if near >= 0 else _find_far(data, delimiter, start)


def _find_far(data: bytearray, delimiter: bytes, start: int) -> int:
    assert _memmem is not None
    held = ctypes.c_char.from_buffer(data)  # while it lives, the bytes stay where they are
    begin = ctypes.addressof(held)
    by_memmem = True
    for at in range(start, len(data), _PIECE):
        end = min(at + _PIECE + len(delimiter) - 1, len(data))
        before = thread_time()
        if by_memmem:
            found = (_memmem(begin + at, end - at, delimiter, len(delimiter)) or begin - 1) - begin
        else:
            found = data.find(delimiter, at, end)
        if found >= 0:
            return found
        if thread_time() - before > _SLOW:
            by_memmem = not by_memmem
    return -1
