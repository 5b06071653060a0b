"""Memory that is used again: as much as is needed, and little where nobody uploads."""

import asyncio
import weakref

import pytest

from inference_gateway.intake.workers import _KEEP, BLOCK, WINDOW, Workers


class Gone(bytearray):
    """One whose end can be seen."""


async def test_what_is_taken_is_as_large_as_it_may_be_and_used_again() -> None:
    workers = Workers()
    sizes = {most: len(workers.take(most)) for most in (1, BLOCK - 1, BLOCK, BLOCK + 1, WINDOW)}
    assert sizes == {
        1: 1,
        BLOCK - 1: BLOCK - 1,
        BLOCK: BLOCK,
        BLOCK + 1: WINDOW,
        WINDOW: WINDOW,
    }
    window = workers.take(WINDOW)
    workers.give_back(window)
    assert workers.take(WINDOW) is window
    assert workers.take(WINDOW) is not window


@pytest.mark.parametrize("size", [BLOCK + 1, WINDOW // 2 - 1, WINDOW // 2, WINDOW - 1])
async def test_a_window_that_was_cut_is_whole_again(size: int) -> None:
    workers = Workers()
    window = workers.take(WINDOW)
    window[:size] = bytes(range(1, 256)) * (size // 255) + bytes(size % 255)
    kept = bytes(window[:size])
    del window[size:]
    workers.give_back(window)
    assert workers.take(WINDOW) is window
    assert len(window) == WINDOW
    assert window[:size] == kept
    window[-1] = 1


async def test_a_window_that_something_refers_to_is_let_go() -> None:
    workers = Workers()
    window = workers.take(WINDOW)
    del window[BLOCK + 1 :]
    with memoryview(window):
        workers.give_back(window)
    assert workers.take(WINDOW) is not window


async def test_what_a_burst_needed_is_kept_while_it_goes_on_and_freed_after_it() -> None:
    workers = Workers()
    pool = workers._pools[BLOCK]
    burst = 100
    for _ in range(3):
        blocks = [workers.take(BLOCK) for _ in range(burst)]
        for block in blocks:
            workers.give_back(block)
        pool._free_unused()  # as the timer does
        assert len(pool._spare) == burst
    few = [workers.take(BLOCK) for _ in range(10)]
    for block in few:
        workers.give_back(block)
    pool._free_unused()
    assert len(pool._spare) == 10  # 90 were not needed
    pool._free_unused()
    assert len(pool._spare) == _KEEP[BLOCK]


async def test_what_comes_back_late_is_freed() -> None:
    """The model has worked for a while, and nobody else uploads."""
    workers = Workers()
    pool = workers._pools[WINDOW]
    windows = [workers.take(WINDOW) for _ in range(_KEEP[WINDOW] + 3)]
    pool._free_unused()
    pool._free_unused()
    for window in windows:
        workers.give_back(window)
    assert len(pool._spare) == _KEEP[WINDOW]


async def test_the_system_is_given_back_what_was_freed() -> None:
    workers = Workers()
    trims: list[None] = []
    pool = workers._pools[BLOCK]
    pool._trim = lambda: trims.append(None)
    for block in [workers.take(BLOCK) for _ in range(100)]:
        workers.give_back(block)
    pool._free_unused()
    assert trims == []
    pool._free_unused()
    assert len(trims) == 1


async def test_other_memory_is_not_kept() -> None:
    workers = Workers()
    odd = Gone(1000)
    gone = weakref.ref(odd)
    workers.give_back(odd)
    del odd
    assert gone() is None


def test_another_event_loop_takes_over() -> None:
    """As where an application is started again."""
    workers = Workers()

    async def use() -> None:
        workers.give_back(workers.take(BLOCK))
        await asyncio.sleep(0)

    asyncio.run(use())
    asyncio.run(use())
    assert len(workers._pools[BLOCK]._spare) == 1
