"""The threads that decode, hash and spool, and the memory that bodies are received into."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any

WINDOW = 4 << 20  # bytes at once of a body that goes to a file
BLOCK = 256 << 10  # bytes at once of a body that stays in memory; docs/decisions/0004 has what others cost
_KEEP = {WINDOW: 2, BLOCK: 4}  # how many where nobody uploads: 9 MiB
_TRIM_FROM = 8 << 20  # bytes freed, after which the C library is told
_UNUSED_SECONDS = 0.2  # what nobody needed for so long is freed


class Workers:
    """Threads that decode, hash and spool, and the memory that they are given. Their work is short."""

    def __init__(self) -> None:
        threads = max(2, min(8, os.cpu_count() or 1))  # more of them wake each other and share the caches
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="spool")
        self._pools = {size: _Pool(size, keep, self._trim) for size, keep in _KEEP.items()}
        self._room = 0  # bytes that one size has left to the other

    async def run(self, function: Any, *args: Any) -> Any:
        """Run a blocking function on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, function, *args)

    def take(self, size: int) -> bytearray:
        """Return memory for `size` bytes, with whatever was in it before: a window, a block, or less.

        Of more than a block a window is made, which may be cut. On the event loop.
        """
        if size < BLOCK:
            return bytearray(size)
        size = WINDOW if size > BLOCK else BLOCK
        memory = self._pools[size].take()
        if memory is None:
            self._make_room(size)
            memory = bytearray(size)
        return memory

    def give_back(self, memory: bytearray) -> None:
        """Take back what nobody uses any more. From any thread."""
        if BLOCK < len(memory) < WINDOW:
            try:
                _resize(memory, WINDOW)  # it was cut at the body's end
            except BufferError:  # the traceback of an error refers to it
                return
        pool = self._pools.get(len(memory))
        if pool is not None:
            pool.give_back(memory)

    def _make_room(self, size: int) -> None:
        """Free what is spare of the other size, so that new memory comes in its place and not beside it."""
        for pool in self._pools.values():
            while self._room < size and pool.drop():
                self._room += pool.size
        self._room = max(0, self._room - size)

    def _trim(self) -> None:
        """Has the C library give freed memory back to the system: on a thread, since it takes its time."""
        if _malloc_trim is not None:
            with suppress(RuntimeError):  # the threads have ended
                self.executor.submit(_malloc_trim, 0)


# glibc keeps what was freed below something that is in use. Other C libraries have no such function.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None

# Makes a `bytearray` longer, and neither clears nor copies anything for it.
_resize = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_ssize_t)(
    ("PyByteArray_Resize", ctypes.pythonapi)
)


class _Pool:
    """Memory that is used again: the kernel clears each new page, which costs more than to receive it.

    It has as many spare pieces as were needed a moment ago, and `keep` where nobody uploads. `trim` is called
    where some were freed.
    """

    def __init__(self, size: int, keep: int, trim: Callable[[], None]) -> None:
        self._trim = trim
        self.size = size
        self._keep = keep
        self._spare: list[bytearray] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # that has the timer
        self._taken = False  # since the timer was set
        self._unused = 0  # the fewest that have been spare since then
        self._freed = 0  # since the last trim
        self._lock = Lock()

    def take(self) -> bytearray | None:
        with self._lock:
            if self._loop is not (loop := asyncio.get_running_loop()):
                self._set_timer(loop)
            self._taken = True
            memory = self._spare.pop() if self._spare else None
            self._unused = min(self._unused, len(self._spare))
            return memory

    def drop(self) -> bool:
        """Free a spare piece; return whether there was one."""
        with self._lock:
            if not self._spare:
                return False
            self._spare.pop()
            self._unused = min(self._unused, len(self._spare))
            return True

    def give_back(self, memory: bytearray) -> None:
        with self._lock:
            if self._loop is not None or len(self._spare) < self._keep:
                self._spare.append(memory)
                return
            self._freed += 1
            if self._freed * self.size < _TRIM_FROM:
                return
            self._freed = 0
        self._trim()

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._taken = False
        self._unused = len(self._spare)
        loop.call_later(_UNUSED_SECONDS, self._free_unused)

    def _free_unused(self) -> None:
        with self._lock:
            unused = self._unused if self._taken else len(self._spare)
            too_many = max(0, min(unused, len(self._spare) - self._keep))
            del self._spare[:too_many]
            self._freed += too_many
            loop, self._loop = self._loop, None
            if self._taken and loop is not None:
                self._set_timer(loop)
            elif self._freed:
                self._freed = 0
                self._trim()
