"""One request's place in a batch, and the turn that the batch has."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from inference_gateway.execution.current_request import CurrentRequest, Request
from inference_gateway.execution.runner import Study
from inference_gateway.execution.waiting import Waiting

Call = tuple[Request, Study]


class BatchTurn(Protocol):
    """A turn at a model that takes several requests at once."""

    @property
    def request(self) -> CurrentRequest:
        """What the model's `current_request()` is."""
        ...

    def start(self, function: Callable[..., object], *args: Any) -> None:
        """Has `function` run on the turn's thread. Raises `Unavailable` where there is none."""
        ...

    def together(self, calls: Sequence[Call]) -> Iterable[Any]:
        """Call the model, on the turn's thread; give, for each request, its `Checked` result or its error.

        Raises where the call fails as a whole.
        """
        ...

    def tell_cancelled(self, request: Request) -> None:
        """Have the model see that nobody waits for this one. On the event loop."""
        ...

    def stack(self) -> str:
        """Where the call is now."""
        ...

    def release(self) -> None:
        """End the turn."""
        ...


class Batches(Protocol):
    """What makes batches of those who join. On the event loop."""

    def join(self, slot: BatchSlot) -> None:
        """Lines a request up. Raises `Unavailable` where the system has no thread for it."""
        ...

    def leave(self, slot: BatchSlot) -> None:
        """Nobody waits for this request any more."""
        ...


class BatchSlot(Waiting):
    """One request's place in a batch: a `ModelSlot`. `joined`: when it lined up, by `time.monotonic()`."""

    request: Request
    study: Study

    def __init__(self, batches: Batches, request: Request, **limits: Any) -> None:
        super().__init__(request, **limits)
        self.joined = 0.0
        self.turn: BatchTurn | None = None  # once it is in a batch
        self.tags: Mapping[str, Any] = {}
        self._batches = batches
        self._future: asyncio.Future[Any] | None = None

    async def compute(self, study: Study) -> Any:
        """Wait for a batch and its call; return the checked result of this request."""
        request = self.request
        request.json_input, request.inputs = study.json_input, study.inputs
        request.input_hash = study.input_hash
        self.study = study
        self._future = future = request.loop.create_future()
        try:
            self.joined = time.monotonic()
            self._batches.join(self)
            self._arm(future)
            return await future
        finally:
            self._disarm()
            self._future = None
            del future  # an exception's traceback leads here

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Is never asked for: results of a batch are whole when its call has come back."""
        raise RuntimeError("a batch is over when its results are there")

    def release(self) -> None:
        """Leaves the batch, or the line."""
        self._batches.leave(self)

    def stack(self) -> str:
        """Where the call of the batch is now."""
        return "" if self.turn is None else self.turn.stack()

    def settle(self, outcome: Any) -> None:
        """Has the event loop told what has become of the request. On the thread of the turn."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self.request.loop.call_soon_threadsafe(functools.partial(self._settled, outcome))

    def _settled(self, outcome: Any) -> None:
        future = self._future
        if future is None or future.done():
            drop(outcome)
        elif isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def drop(outcome: Any) -> None:
    """Lets go of a result that nobody waits for."""
    if not isinstance(outcome, BaseException):
        outcome.close()
