"""One call on its way to a model's thread, and its outcome on the way back."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Job(Generic[T]):
    """A call for a thread, and the future of the loop that waits for it."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T]
    context: contextvars.Context
    function: Callable[..., T]
    args: tuple[Any, ...]
    keep: Callable[[T], bool] | None
    ended: bool = False

    def run(self) -> bool:
        """Makes the call and has the loop told; returns whether more calls will follow."""
        keep = False
        function, args = self.function, self.args
        del self.function, self.args  # they may hold the turn, which holds this: no garbage for the collector
        try:
            result = self.context.run(function, *args)
            report = functools.partial(self._succeed, result)
            keep = self.keep is not None and self.keep(result)
        except BaseException as error:
            report = functools.partial(self._fail, that_travels(error))
        self.ended = True
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self.loop.call_soon_threadsafe(report)
        return keep

    def _succeed(self, result: T) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def that_travels(error: BaseException) -> Exception:
    """`StopIteration` cannot pass through a future, and `SystemExit` would end the event loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"{type(error).__name__} was raised")
    wrapped.__cause__ = error
    return wrapped
