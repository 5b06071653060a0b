"""What a callback knows of its request."""

import asyncio
import contextvars
import functools
import threading
import time

import pytest

from inference_gateway.errors import ModelTimeout, RequestCancelled
from inference_gateway.execution.call import guarded
from inference_gateway.execution.current_request import CurrentRequest, current_request
from tests.harness.turns import LIMIT, idle, runner, turn


async def test_a_callback_knows_its_request() -> None:
    before = time.monotonic()
    request: CurrentRequest = await turn(runner(timeout=100).slot("an id"), current_request)
    assert (request.request_id, request.route) == ("an id", "/")
    assert request.deadline is not None
    assert before + 100 <= request.deadline <= time.monotonic() + 100
    remaining = request.remaining()
    assert remaining is not None
    assert 0 < remaining <= 100
    assert not request.cancelled
    request.raise_if_cancelled()


async def test_a_request_without_a_time_limit() -> None:
    request: CurrentRequest = await turn(runner().slot("r"), current_request)
    assert request.deadline is None
    assert request.remaining() is None


async def test_an_async_callback_knows_its_request() -> None:
    async def model() -> str:
        await asyncio.sleep(0)
        return current_request().request_id

    assert await turn(runner().slot("async"), guarded, model) == "async"


async def test_a_thread_with_a_copied_context_knows_the_request() -> None:
    def in_two_threads() -> tuple[list[str], list[str]]:
        found: list[str] = []
        missing: list[str] = []

        def look() -> None:
            try:
                found.append(current_request().request_id)
            except RuntimeError as error:
                missing.append(str(error))

        context = contextvars.copy_context()
        for target in (functools.partial(context.run, look), look):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join(LIMIT)
        return found, missing

    found, missing = await turn(runner().slot("copied"), in_two_threads)
    assert found == ["copied"]
    assert len(missing) == 1


async def test_two_calls_at_once_know_each_its_own_request() -> None:
    model = runner(concurrency=2)
    together = threading.Barrier(2, timeout=LIMIT)

    def both_there() -> str:
        together.wait()
        return current_request().request_id

    names = ("a", "b")
    assert await asyncio.gather(*(turn(model.slot(name), both_there) for name in names)) == ["a", "b"]


async def test_outside_a_callback_there_is_no_request() -> None:
    with pytest.raises(RuntimeError, match="only inside"):
        current_request()
    await turn(runner().slot("r"), current_request)
    with pytest.raises(RuntimeError):
        current_request()


async def test_a_model_loop_stops_when_nobody_waits_any_more() -> None:
    model = runner(timeout=0.05)
    left: list[float | None] = []

    def loop() -> None:
        request = current_request()
        try:
            end = time.monotonic() + LIMIT
            while time.monotonic() < end:
                request.raise_if_cancelled()
        except RequestCancelled:
            left.append(request.remaining())
            raise

    with pytest.raises(ModelTimeout):
        await turn(model.slot("late"), loop)
    await idle(model)
    assert left == [0.0]
