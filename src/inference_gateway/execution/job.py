"""One call on its way to a model's thread, and its outcome on the way back."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


@dataclass(slots=True)
class Job(Generic[T]):
    """A call for a thread, and the future that waits for it; None when nobody does any more."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[T] | None
    context: contextvars.Context
    function: Callable[..., T]
    args: tuple[Any, ...]
    ended: bool = False

    def run(self) -> None:
        """Make the call, on the thread, and have the loop told."""
        function, args = self.function, self.args
        del self.function, self.args  # they may hold the turn, which holds this: no garbage for the collector
        try:
            report = functools.partial(_succeed, self.context.run(function, *args))
        except BaseException as error:
            report = functools.partial(_fail, that_travels(error))
        self.ended = True
        future = self.future
        if future is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self.loop.call_soon_threadsafe(report, future)
        del report  # an exception's traceback leads here

    def settle(self, outcome: T | Exception) -> None:
        """Say on the loop what has become of a call that was made without a thread."""
        del self.function, self.args  # as above
        self.ended = True
        if self.future is not None:
            if isinstance(outcome, Exception):
                _fail(outcome, self.future)
            else:
                _succeed(outcome, self.future)


def _succeed(result: T, future: asyncio.Future[T]) -> None:
    if not future.done():
        future.set_result(result)


def _fail(error: BaseException, future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(error)


def that_travels(error: BaseException) -> Exception:
    """`StopIteration` cannot pass through a future, and `SystemExit` would end the event loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"{type(error).__name__} was raised")
    wrapped.__cause__ = error
    return wrapped
