"""The model's calls: turns on its threads, deadlines, and what a callback may know of its request."""

import asyncio
import gc
import hashlib
import random
import threading
import weakref
from collections.abc import Iterator

import pytest

from inference_gateway.errors import ModelTimeout, Unavailable
from inference_gateway.execution.call import guarded
from inference_gateway.execution.current_request import CurrentRequest, current_request
from inference_gateway.execution.slot import Slot
from tests.harness.turns import LIMIT, Held, begun, idle, runner, turn, turns

"""Seconds that a test waits for what must come."""


@pytest.fixture
def held() -> Iterator[Held]:
    function = Held()
    yield function
    function.go.set()


async def test_turns_come_in_the_order_in_which_they_were_asked_for(held: Held) -> None:
    model = runner()
    order: list[int] = []
    first = asyncio.create_task(turn(model.slot("first"), held))
    await begun(held.begun)
    waiting = []
    for number in range(10):
        waiting.append(asyncio.create_task(turn(model.slot(str(number)), order.append, number)))
        await turns()
    assert order == []
    held.go.set()
    await asyncio.gather(first, *waiting)
    assert order == list(range(10))
    await idle(model)


async def test_a_cancelled_wait_loses_its_turn_and_nobody_elses(held: Held) -> None:
    model = runner()
    called: list[int] = []
    first = asyncio.create_task(turn(model.slot("first"), held))
    await begun(held.begun)
    waiting = [
        asyncio.create_task(turn(model.slot(str(number)), called.append, number)) for number in range(3)
    ]
    await turns()
    waiting[0].cancel()
    waiting[2].cancel()
    await turns()
    held.go.set()
    await first
    await asyncio.wait_for(waiting[1], LIMIT)
    await turn(model.slot("last"), called.append, 9)
    assert called == [1, 9]
    await idle(model)


@pytest.mark.parametrize("seed", range(4))
async def test_one_call_at_a_time_whatever_is_cancelled(seed: int) -> None:
    chance = random.Random(seed)
    model = runner(timeout=0.01)
    lock = threading.Lock()
    now = most = calls = 0

    def call() -> None:
        nonlocal now, most, calls
        with lock:
            now += 1
            calls += 1
            most = max(most, now)
        hashlib.pbkdf2_hmac("sha256", b"", b"", chance.choice((10, 2_000, 20_000)))
        with lock:
            now -= 1

    tasks = [asyncio.create_task(turn(model.slot("r"), call)) for _ in range(60)]
    for task in tasks:
        asyncio.get_running_loop().call_later(chance.uniform(0, 0.3), task.cancel)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert await turn(model.slot("last"), lambda: "still served") == "still served"
    await idle(model)
    assert most == 1
    assert calls > 1
    assert {type(end) for end in ends} <= {type(None), ModelTimeout, asyncio.CancelledError}
    assert now == 0


async def test_waiting_too_long_for_a_turn(held: Held) -> None:
    model = runner(queue_timeout=0.05, timeout=LIMIT)
    first = asyncio.create_task(turn(model.slot("first"), held))
    await begun(held.begun)
    called: list[int] = []
    with pytest.raises(Unavailable) as refusal:
        await turn(model.slot("second"), called.append, 2)
    assert refusal.value.retry_after > 0
    held.go.set()
    await first
    await turn(model.slot("third"), called.append, 3)
    assert called == [3]
    await idle(model)


async def test_a_turn_tells_when_it_begins(held: Held) -> None:
    model = runner()
    started: list[threading.Thread] = []
    first = asyncio.create_task(turn(model.slot("first"), held))
    await begun(held.begun)
    slot = model.slot("second", on_start=lambda: started.append(threading.current_thread()))
    second = asyncio.create_task(turn(slot, threading.current_thread))
    await turns()
    assert started == []
    assert slot.started is None
    held.go.set()
    await first
    assert started == [await second]
    assert slot.started is not None


async def test_a_turn_may_have_many_calls_on_one_thread() -> None:
    model = runner(concurrency=2)
    slot = model.slot("first")
    called: list[int] = []
    threads = [await slot.call(threading.current_thread) for _ in range(5)]
    assert len(set(threads)) == 1
    model_of_one = runner()
    kept = model_of_one.slot("kept")
    await kept.call(int)
    waiting = asyncio.create_task(turn(model_of_one.slot("waiting"), called.append, 1))
    await turns()
    assert called == []
    kept.release()
    await asyncio.wait_for(waiting, LIMIT)
    slot.release()
    await idle(model)
    await idle(model_of_one)


async def test_after_the_deadline_the_slot_stays_taken_until_the_thread_is_back(held: Held) -> None:
    model = runner(timeout=0.1)
    slot = model.slot("late")
    with pytest.raises(ModelTimeout):
        await turn(slot, held)
    assert held.begun.is_set()
    assert not held.go.is_set()
    assert (model.readiness.taken, model.readiness.orphaned) == (1, 1)
    assert slot.request.cancelled
    called: list[int] = []
    following = asyncio.create_task(turn(model.slot("following"), called.append, 1))
    await turns()
    assert called == []
    held.go.set()
    await asyncio.wait_for(following, LIMIT)
    assert called == [1]
    await idle(model)


async def test_the_time_limit_begins_with_the_turn(held: Held) -> None:
    """Waiting for it is not the model's time."""
    model = runner(timeout=0.4)
    first = asyncio.create_task(turn(model.slot("first"), held))
    await begun(held.begun)
    second = asyncio.create_task(turn(model.slot("second"), current_request))
    with pytest.raises(ModelTimeout):
        await first
    held.go.set()
    remaining = (await asyncio.wait_for(second, LIMIT)).remaining()
    assert remaining is not None
    assert remaining > 0


async def test_a_cancelled_caller_leaves_an_orphan(held: Held) -> None:
    model = runner()
    slot = model.slot("gone")
    call = asyncio.create_task(turn(slot, held))
    await begun(held.begun)
    assert not slot.request.cancelled
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (model.readiness.taken, model.readiness.orphaned) == (1, 1)
    assert slot.request.cancelled
    held.go.set()
    await idle(model)


async def test_an_orphan_that_fails_is_no_loose_end(held: Held) -> None:
    """asyncio would complain of an exception that nobody has seen: a warning, and so an error here."""
    model = runner(timeout=0.05)

    def fail() -> None:
        held()
        raise ValueError("too late")

    with pytest.raises(ModelTimeout):
        await turn(model.slot("late"), fail)
    held.go.set()
    await idle(model)
    await turns()
    gc.collect()
    await turns()


async def test_a_call_that_ends_just_as_its_time_does() -> None:
    """Its result or `ModelTimeout`; the event loop sees both ends in the same turn."""
    model = runner(timeout=0.1)
    slot = model.slot("r")
    over = threading.Event()

    def until_the_deadline() -> str:
        while slot.request.remaining():
            pass
        return "done"

    call = asyncio.create_task(turn(slot, until_the_deadline))
    after = asyncio.create_task(turn(model.slot("after"), over.set))
    await turns()
    assert over.wait(LIMIT)  # the event loop is stopped until then
    try:
        assert await call == "done"
    except ModelTimeout:
        assert slot.request.cancelled
    await after


async def test_a_coroutine_is_cancelled_at_its_deadline_and_keeps_its_slot_until_it_has_ended() -> None:
    model = runner(timeout=0.05)
    cancelled, let_go = asyncio.Event(), asyncio.Event()

    async def model_call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
            await let_go.wait()

    with pytest.raises(ModelTimeout):
        await turn(model.slot("late"), guarded, model_call)
    await asyncio.wait_for(cancelled.wait(), LIMIT)
    called: list[int] = []
    following = asyncio.create_task(turn(model.slot("following"), called.append, 1))
    await turns()
    assert called == []
    let_go.set()
    await asyncio.wait_for(following, LIMIT)
    assert called == [1]
    await idle(model)


async def test_an_idle_thread_keeps_nothing_of_a_request_alive() -> None:
    class Input:
        pass

    model = runner()
    given = Input()
    seen = weakref.ref(given)
    await turn(model.slot("r"), lambda _: None, given)
    await turn(model.slot("r"), lambda: None)  # so the thread is done with the one before
    del given
    gc.collect()
    assert seen() is None


async def test_a_turn_that_was_given_up_keeps_nothing_alive_behind_a_hung_model(held: Held) -> None:
    class Input:
        pass

    model = runner(queue_timeout=0.05)
    hung = asyncio.create_task(turn(Slot(model.line, CurrentRequest("hung", "/")), held))
    await begun(held.begun)
    given = Input()
    seen = weakref.ref(given)
    with pytest.raises(Unavailable):
        await turn(model.slot("given up"), lambda _: None, given)
    del given
    await asyncio.sleep(0)  # the event loop's own step holds what it was woken by
    gc.collect()
    assert seen() is None
    held.go.set()
    await hung


async def test_the_line_behind_a_hung_model_does_not_grow(held: Held) -> None:
    """Whoever gives up leaves it; those who stay get their turns, in their order."""
    model = runner(queue_timeout=0.01)
    patient = runner()
    for each in (model, patient):
        hung = asyncio.create_task(turn(Slot(each.line, CurrentRequest("hung", "/")), held))
        await begun(held.begun)
        held.begun.clear()
        order: list[int] = []
        staying = (
            asyncio.create_task(turn(patient.slot("stays"), order.append, 0)) if each is patient else None
        )
        for number in range(50):
            waiting = asyncio.create_task(turn(each.slot("gives up"), order.append, number))
            await turns(3)
            waiting.cancel()
            with pytest.raises((asyncio.CancelledError, Unavailable)):
                await waiting
        left = 1 if staying else 0
        assert each.line.waiting == left
        held.go.set()
        await hung
        if staying:
            await staying
        assert order == [0] * left
        held.go.clear()
        async with asyncio.timeout(LIMIT):
            while True:
                try:
                    assert await turn(each.slot("next"), lambda: "served") == "served"
                    break
                except Unavailable:  # a turn this short of patience may miss its time on a busy machine
                    await asyncio.sleep(0)
        await idle(each)
