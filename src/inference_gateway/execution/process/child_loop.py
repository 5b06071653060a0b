"""The event loop of a model process, for a callback that is `async def`.

It is started, and `asyncio` imported, when the first such call comes: that would be a quarter of the time
that a process takes to start, and a sixth of its memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


class LazyLoop:
    """`call_soon_threadsafe` and `create_task` of an event loop that is started by the first of them."""

    def __init__(self, at_end: Callable[[], None]) -> None:
        self._at_end = at_end

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a callback; `at_end` is called when it has ended, before anybody hears of it."""
        return self._loop.create_task(self._to_the_end(coroutine))

    async def _to_the_end(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await coroutine
        finally:
            self._at_end()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        import asyncio

        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="async model", daemon=True).start()
        return loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)
