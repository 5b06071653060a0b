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
_KEEP = {WINDOW: 2, 2 << 20: 0, 1 << 20: 0, 512 << 10: 0, BLOCK: 4}  # how many where nobody uploads: 9 MiB
_TRIM_FROM = 8 << 20  # bytes freed, after which the C library is told
_UNUSED_SECONDS = 0.2  # what nobody needed for so long is freed


class Workers:
    """Threads that decode, hash and spool, and the memory that they are given. Their work is short."""

    def __init__(self) -> None:
        threads = max(2, min(8, os.cpu_count() or 1))  # more of them wake each other and share the caches
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="spool")
        self._pools = {size: _Pool(size, keep, self._trim) for size, keep in _KEEP.items()}

    async def run(self, function: Any, *args: Any) -> Any:
        """Runs a blocking function on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, function, *args)

    def take(self, most: int) -> bytearray:
        """`most` bytes, or less where that is memory that is used again; with whatever was in it before.

        On the event loop.
        """
        for size, pool in self._pools.items():  # the largest first
            if size <= most:
                return pool.take()
        return bytearray(most)

    def give_back(self, memory: bytearray) -> None:
        """Nobody uses these bytes any more. From any thread."""
        pool = self._pools.get(len(memory))
        if pool is not None:
            pool.give_back(memory)

    def _trim(self) -> None:
        """Has the C library give freed memory back to the system: on a thread, since it takes its time."""
        if _malloc_trim is not None:
            with suppress(RuntimeError):  # the threads have ended
                self.executor.submit(_malloc_trim, 0)


# glibc keeps what was freed below something that is in use. Other C libraries have no such function.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None


class _Pool:
    """Memory that is used again: the kernel clears each new page, which costs more than to receive it.

    It has as many spare pieces as were needed a moment ago, and `keep` where nobody uploads. `trim` is called
    where some were freed.
    """

    def __init__(self, size: int, keep: int, trim: Callable[[], None]) -> None:
        self._trim = trim
        self._size = size
        self._keep = keep
        self._spare: list[bytearray] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # that has the timer
        self._taken = False  # since the timer was set
        self._unused = 0  # the fewest that have been spare since then
        self._freed = 0  # since the last trim
        self._lock = Lock()

    def take(self) -> bytearray:
        with self._lock:
            if self._loop is not (loop := asyncio.get_running_loop()):
                self._set_timer(loop)
            self._taken = True
            if self._spare:
                memory = self._spare.pop()
                self._unused = min(self._unused, len(self._spare))
                return memory
        return bytearray(self._size)

    def give_back(self, memory: bytearray) -> None:
        with self._lock:
            if self._loop is not None or len(self._spare) < self._keep:
                self._spare.append(memory)
                return
            self._freed += 1
            if self._freed * self._size < _TRIM_FROM:
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
