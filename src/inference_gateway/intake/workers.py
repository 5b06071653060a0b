"""The threads that decode, hash and spool, and the windows that they are given."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

WINDOW = 4 << 20  # bytes; docs/decisions/0004 has what other sizes cost
_SPARE_WINDOWS = 2  # kept for the next upload


class Workers:
    """Threads that decode, hash and spool, and the windows they are given. Their work is short."""

    def __init__(self) -> None:
        threads = max(2, min(8, os.cpu_count() or 1))  # more of them wake each other and share the caches
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="spool")
        self._spare: list[bytearray] = []

    async def run(self, function: Any, *args: Any) -> Any:
        """Runs a blocking function on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, function, *args)

    def take_window(self) -> bytearray:
        """A window, with whatever was in it before."""
        return self._spare.pop() if self._spare else bytearray(WINDOW)

    def give_back(self, window: bytearray) -> None:
        """Nobody uses this window any more."""
        if len(window) == WINDOW and len(self._spare) < _SPARE_WINDOWS:
            self._spare.append(window)
