"""Looking for a delimiter in a large buffer, without holding Python's lock.

`bytes.find` holds the lock: while one thread scans a window the event loop stands still, and so do the other
uploads. The C library's `memmem` is called without it, and is faster than `find` too. It is not as good in
the worst case: a body made of the boundary's last characters is scanned at a fraction of the speed, but in
linear time, since the delimiter's first character, CR, comes only once in it.
"""

from __future__ import annotations

import ctypes
import sys

_AHEAD = 16 << 10  # bytes: a delimiter so near is found sooner than a C function is called
_FROM = 64 << 10  # bytes: in less than that, the lock is held for some microseconds only

_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t
)
# glibc and musl have it in linear time; of others we do not know.
_memmem = _PROTOTYPE(("memmem", ctypes.CDLL(None))) if sys.platform.startswith("linux") else None


def find(data: bytes | bytearray, delimiter: bytes, start: int) -> int:
    """Return what `data.find(delimiter, start)` returns."""
    size = len(data) - start
    if _memmem is None or size < _FROM or not isinstance(data, bytearray):
        return data.find(delimiter, start)
    near = data.find(delimiter, start, start + _AHEAD)
    if near >= 0:
        return near
    held = ctypes.c_char.from_buffer(data)  # while it lives, the bytes stay where they are
    begin = ctypes.addressof(held)
    found = _memmem(begin + start, size, delimiter, len(delimiter))
    return -1 if found is None else found - begin
