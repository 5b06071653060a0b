"""A model's turns, without a gateway."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from inference_gateway.execution.line import Line
from inference_gateway.execution.slot import Slot
from inference_gateway.execution.thread_runner import ThreadRunner

LIMIT = 20.0


def nothing(json_input: Any, inputs: list[Any], input_hash: str) -> None:
    """A model where it does not matter."""


def runner(
    model: Any = nothing,
    *,
    concurrency: int = 1,
    timeout: float | None = None,
    queue_timeout: float | None = None,
) -> ThreadRunner:
    return ThreadRunner(
        "/", model, Whole, Line("m", concurrency), name="m", timeout=timeout, queue_timeout=queue_timeout
    )


class Whole:
    """A result that is complete when the call is."""

    needs_model = False

    def __init__(self, result: Any, inputs: Any = ()) -> None:
        self.result = result

    def end_iterables(self) -> None:
        """There are none."""


async def turn(slot: Slot, function: Callable[..., Any], *args: Any) -> Any:
    """A turn of one call, which ends it, as a model's call does whose result is complete."""

    def once() -> Any:
        try:
            return function(*args)
        finally:
            slot.release()

    try:
        return await slot.call(once)
    finally:
        slot.release()


class Held:
    """A blocking function that says when it has begun and goes on when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.go.wait(LIMIT)
        return "done"


async def begun(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, LIMIT)


async def turns(count: int = 50) -> None:
    """Let everything that is ready on the event loop have its turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def idle(model: ThreadRunner) -> None:
    """Wait until no call is going on: a thread is back a moment after its result."""
    async with asyncio.timeout(LIMIT):
        while model.readiness.taken:  # noqa: ASYNC110 - a thread's doing, of which no event tells
            await asyncio.sleep(0)
    assert model.readiness.orphaned == 0
