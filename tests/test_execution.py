"""The model's calls: turns on its threads, deadlines, and what a callback may know of its request."""

import asyncio
import contextvars
import functools
import gc
import hashlib
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inference_gateway.errors import (
    InvalidModelOutput,
    ModelFailed,
    ModelTimeout,
    RequestCancelled,
    SetupFailed,
    Unavailable,
)
from inference_gateway.execution import (
    CurrentRequest,
    ModelRunner,
    Slot,
    current_request,
    guarded,
    share_the_lock,
)

LIMIT = 20.0
"""Seconds that a test waits for what must come."""


def nothing(json_input: Any, inputs: list[Any], input_hash: str) -> None:
    """A model where it does not matter."""


def runner(
    model: Any = nothing,
    *,
    concurrency: int = 1,
    timeout: float | None = None,
    queue_timeout: float | None = None,
) -> ModelRunner:
    return ModelRunner(
        "/", model, name="m", concurrency=concurrency, timeout=timeout, queue_timeout=queue_timeout
    )


async def turn(slot: Slot, function: Callable[..., Any], *args: Any) -> Any:
    """A turn of one call."""
    try:
        return await slot.call(function, *args)
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


@pytest.fixture
def held() -> Iterator[Held]:
    function = Held()
    yield function
    function.go.set()


async def begun(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, LIMIT)


async def turns(count: int = 50) -> None:
    """Let everything that is ready on the event loop have its turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def idle(model: ModelRunner) -> None:
    """Wait until no call is going on: a thread is back a moment after its result."""
    async with asyncio.timeout(LIMIT):
        while model.slots_taken:  # noqa: ASYNC110 - a thread's doing, of which no event tells
            await asyncio.sleep(0)
    assert model.orphaned == 0


# Turns


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_thread_that_cannot_be_started(concurrency: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for one that is not there; when the system has threads again, so has the route."""
    model = runner(concurrency=concurrency)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(Unavailable):
            await turn(model.slot("refused"), bool)
    held = Held()
    first = asyncio.create_task(turn(model.slot("first"), held))
    await asyncio.to_thread(held.begun.wait, LIMIT)
    with monkeypatch.context() as patch:  # there is one that can serve it
        patch.setattr(threading.Thread, "start", refuse)
        second = asyncio.create_task(turn(model.slot("second"), bool))
        await asyncio.sleep(0)
        held.go.set()
        assert await asyncio.wait_for(second, LIMIT) is False
    assert await first == "done"
    await model.tear_down()


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


async def test_as_many_calls_at_once_as_there_are_slots() -> None:
    model = runner(concurrency=3)
    together = threading.Barrier(3, timeout=LIMIT)
    await asyncio.gather(*(turn(model.slot("r"), together.wait) for _ in range(9)))
    await idle(model)


async def test_no_more_threads_than_slots(held: Held) -> None:
    model = runner(concurrency=2)
    threads: set[threading.Thread] = set()
    for _ in range(5):
        await turn(model.slot("r"), lambda: threads.add(threading.current_thread()))
        await idle(model)
    assert len(threads) == 1  # one is enough for one after the other
    calls = [asyncio.create_task(turn(model.slot("r"), held)) for _ in range(4)]
    await begun(held.begun)
    await turns()
    assert model.slots_taken <= 2
    held.go.set()
    await asyncio.gather(*calls)


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
    threads = [await slot.call(threading.current_thread, keep=lambda _: True) for _ in range(5)]
    assert len(set(threads)) == 1
    model_of_one = runner()
    kept = model_of_one.slot("kept")
    await kept.call(int, keep=lambda _: True)
    waiting = asyncio.create_task(turn(model_of_one.slot("waiting"), called.append, 1))
    await turns()
    assert called == []
    kept.release()
    await asyncio.wait_for(waiting, LIMIT)
    slot.release()
    await idle(model)
    await idle(model_of_one)


# Deadlines and cancelled callers


async def test_after_the_deadline_the_slot_stays_taken_until_the_thread_is_back(held: Held) -> None:
    model = runner(timeout=0.1)
    slot = model.slot("late")
    with pytest.raises(ModelTimeout):
        await turn(slot, held)
    assert held.begun.is_set()
    assert not held.go.is_set()
    assert (model.slots_taken, model.orphaned) == (1, 1)
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
    assert (model.slots_taken, model.orphaned) == (1, 1)
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


async def test_a_models_own_timeout_error_is_a_failure_of_the_model() -> None:
    def fail() -> None:
        raise TimeoutError("the model's own")

    with pytest.raises(ModelFailed) as failure:
        await turn(runner(timeout=LIMIT).slot("r"), guarded, fail)
    assert isinstance(failure.value.__cause__, TimeoutError)


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


# What a model raises


@pytest.mark.parametrize(
    "error",
    [
        ValueError("v"),
        StopIteration(1),
        StopAsyncIteration(),
        SystemExit(0),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        ModelTimeout(),
        Unavailable(),
        RequestCancelled(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_model_raises_is_its_failure(error: BaseException) -> None:
    model = runner()

    def fail() -> None:
        raise error

    with pytest.raises(ModelFailed) as failure:
        await asyncio.wait_for(turn(model.slot("r"), guarded, fail), LIMIT)
    assert failure.value.__cause__ is error
    assert await turn(model.slot("r"), guarded, lambda: "still works") == "still works"


def test_a_result_that_does_not_fit_stays_what_it_is() -> None:
    def refuse() -> None:
        raise InvalidModelOutput("reason")

    with pytest.raises(InvalidModelOutput):
        guarded(refuse)


# Life cycle


class Staged:
    """A model that notes each step of its life, and on which thread."""

    def __init__(self, **failing: BaseException) -> None:
        self.steps: list[tuple[str, threading.Thread]] = []
        self._failing = failing

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> None:
        self._step("call")

    def setup(self) -> None:
        self._step("setup")

    def warm_up(self) -> None:
        self._step("warm_up")

    def teardown(self) -> None:
        self._step("teardown")

    def _step(self, name: str) -> None:
        self.steps.append((name, threading.current_thread()))
        if name in self._failing:
            raise self._failing[name]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.steps]


async def test_a_model_lives_on_its_own_thread() -> None:
    staged = Staged()
    model = runner(staged)
    await model.set_up()
    await turn(model.slot("r"), staged, None, [], "")
    await model.tear_down()
    assert staged.names == ["setup", "warm_up", "call", "teardown"]
    threads = {thread for _, thread in staged.steps}
    assert len(threads) == 1
    assert threads != {threading.current_thread()}


async def ended(thread: threading.Thread) -> None:
    await asyncio.to_thread(thread.join, LIMIT)
    assert not thread.is_alive()


async def test_a_models_threads_end_with_it() -> None:
    staged = Staged()
    model = runner(staged, concurrency=2)
    await model.set_up()
    await model.tear_down()
    assert staged.steps
    for _, thread in staged.steps:
        await ended(thread)


async def test_an_async_setup_is_awaited_on_the_event_loop() -> None:
    done: list[tuple[str, threading.Thread]] = []

    class Model:
        async def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> None: ...

        async def setup(self) -> None:
            await asyncio.sleep(0)
            done.append(("setup", threading.current_thread()))

        async def teardown(self) -> None:
            done.append(("teardown", threading.current_thread()))

    model = runner(Model())
    await model.set_up()
    await model.tear_down()
    here = threading.current_thread()
    assert done == [("setup", here), ("teardown", here)]


async def test_a_model_without_a_life_cycle() -> None:
    model = runner()
    await model.set_up()
    await model.tear_down()
    assert model.slots_taken == 0


@pytest.mark.parametrize("step", ["setup", "warm_up"])
@pytest.mark.parametrize(
    "error", [ValueError("v"), StopIteration(), SystemExit("v")], ids=lambda error: type(error).__name__
)
async def test_a_setup_that_fails(step: str, error: BaseException) -> None:
    """`next(folder.glob("*.onnx"))` raises `StopIteration`, and scripts call `sys.exit`."""
    staged = Staged(**{step: error})
    model = runner(staged)
    with pytest.raises(SetupFailed, match=f"{step} of model m failed") as failure:
        await asyncio.wait_for(model.set_up(), 5)
    assert failure.value.__cause__ is not None
    assert type(error).__name__ in repr(failure.value.__cause__)
    assert staged.names[-1] == step


async def test_teardown_comes_after_the_last_call(held: Held) -> None:
    staged = Staged()
    model = runner(staged)
    call = asyncio.create_task(turn(model.slot("r"), held))
    await begun(held.begun)
    ending = asyncio.create_task(model.tear_down())
    await turns()
    assert staged.names == []
    held.go.set()
    assert await call == "done"
    await asyncio.wait_for(ending, LIMIT)
    assert staged.names == ["teardown"]


async def test_threads_end_although_teardown_fails() -> None:
    staged = Staged(teardown=ValueError("v"))
    model = runner(staged)
    with pytest.raises(ValueError, match="v"):
        await model.tear_down()
    ((_, thread),) = staged.steps
    await ended(thread)


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
    hung = asyncio.create_task(turn(model.slot("hung"), held))
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
        hung = asyncio.create_task(turn(each.slot("hung"), held))
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
        assert (len(each._line), each._wake.qsize()) == (left, left)
        held.go.set()
        await hung
        if staying:
            await staying
        assert order == [0] * left
        held.go.clear()
        assert await turn(each.slot("next"), lambda: "served") == "served"
        await idle(each)


async def test_how_long_all_slots_are_held_by_calls_nobody_waits_for(held: Held) -> None:
    model = runner(concurrency=2, timeout=0.05)
    calls = [asyncio.create_task(turn(model.slot(str(number)), held)) for number in range(2)]
    with pytest.raises(ModelTimeout):
        await calls[0]
    with pytest.raises(ModelTimeout):
        await calls[1]
    assert model.orphaned == 2
    before = model.stuck_for
    async with asyncio.timeout(LIMIT):
        while model.stuck_for <= before:  # noqa: ASYNC110 - a clock's doing, of which no event tells
            await asyncio.sleep(0)
    held.go.set()
    await idle(model)
    assert model.stuck_for == 0


async def test_one_slot_that_is_left_is_enough(held: Held) -> None:
    model = runner(concurrency=2)
    hung = asyncio.create_task(turn(model.slot("hung"), held))
    await begun(held.begun)
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung
    assert (model.orphaned, model.stuck_for) == (1, 0)
    assert await turn(model.slot("next"), lambda: "served") == "served"


# The current request


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


@pytest.mark.parametrize(("before", "after"), [(0.005, 0.0005), (0.0001, 0.0001)])
def test_pythons_lock_changes_hands_sooner(before: float, after: float) -> None:
    found = sys.getswitchinterval()
    try:
        sys.setswitchinterval(before)
        share_the_lock()
        assert sys.getswitchinterval() == pytest.approx(after, abs=2e-6)  # it counts microseconds
    finally:
        sys.setswitchinterval(found)
