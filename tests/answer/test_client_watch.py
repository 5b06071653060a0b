"""Whether the client is still there."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from inference_gateway.answer.client_watch import ClientWatch
from inference_gateway.errors import ClientDisconnected, ResponseCut

LIMIT = 20.0


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_block_that_ends_by_itself() -> None:
    with ClientWatch(never, 1.0) as client:
        client.offered()
        client.taken()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_client_that_leaves_cancels_the_block() -> None:
    messages: Iterator[dict[str, Any]] = iter(
        [{"type": "http.request", "body": b""}, {"type": "http.disconnect"}]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    with pytest.raises(ClientDisconnected), ClientWatch(receive, None):
        await asyncio.wait_for(asyncio.Event().wait(), LIMIT)


async def test_a_client_that_takes_nothing() -> None:
    async def send() -> None:
        with ClientWatch(never, 0.05) as client:
            client.offered()
            await asyncio.Event().wait()

    with pytest.raises(ResponseCut, match="took nothing"):
        await asyncio.wait_for(send(), LIMIT)


async def test_a_client_that_takes_slowly_but_takes() -> None:
    """Each send is in time, though all of them together are not."""
    loop = asyncio.get_running_loop()
    with ClientWatch(never, 0.1) as client:
        begun = loop.time()
        while loop.time() < begun + 0.35:
            client.offered()
            await asyncio.sleep(0)
            client.taken()


async def test_a_client_that_takes_a_block_bit_by_bit() -> None:
    """As long as the kernel has less to send from look to look; then its time begins."""
    left = iter([*range(9, 3, -1), *[3] * 100])
    looks: list[int] = []

    def unsent() -> int:
        looks.append(next(left))
        return looks[-1]

    async def send() -> None:
        with ClientWatch(never, 1.0, unsent) as client:
            client.offered()
            await asyncio.Event().wait()

    with pytest.raises(ResponseCut, match="took nothing"):
        await asyncio.wait_for(send(), LIMIT)
    assert looks[:8] == [9, 8, 7, 6, 5, 4, 3, 3]


async def test_working_between_two_sends_is_not_the_clients_fault() -> None:
    done = asyncio.Event()
    with ClientWatch(never, 0.05) as client:
        client.offered()
        client.taken()
        asyncio.get_running_loop().call_later(0.2, done.set)
        await done.wait()


async def test_an_error_of_the_block_stays_what_it_is() -> None:
    with pytest.raises(TimeoutError, match="its own"), ClientWatch(never, None):
        raise TimeoutError("its own")


async def test_the_callers_cancellation_stays_one() -> None:
    async def block() -> None:
        with ClientWatch(never, None):
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
