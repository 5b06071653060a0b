"""A model's threads and its life cycle."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from inference_gateway.errors import ModelTimeout, SetupFailed, Unavailable
from tests.harness.turns import LIMIT, Held, begun, idle, runner, turn, turns


@pytest.fixture
def held() -> Iterator[Held]:
    function = Held()
    yield function
    function.go.set()


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
    assert model.readiness.taken <= 2
    held.go.set()
    await asyncio.gather(*calls)


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
    assert model.readiness.taken == 0


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


async def test_how_long_all_slots_are_held_by_calls_nobody_waits_for(held: Held) -> None:
    model = runner(concurrency=2, timeout=0.05)
    calls = [asyncio.create_task(turn(model.slot(str(number)), held)) for number in range(2)]
    with pytest.raises(ModelTimeout):
        await calls[0]
    with pytest.raises(ModelTimeout):
        await calls[1]
    assert model.readiness.orphaned == 2
    before = model.readiness.stuck_for
    async with asyncio.timeout(LIMIT):
        while model.readiness.stuck_for <= before:  # noqa: ASYNC110 - a clock's doing, of which no event tells
            await asyncio.sleep(0)
    held.go.set()
    await idle(model)
    assert model.readiness.stuck_for == 0


async def test_one_slot_that_is_left_is_enough(held: Held) -> None:
    model = runner(concurrency=2)
    hung = asyncio.create_task(turn(model.slot("hung"), held))
    await begun(held.begun)
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung
    assert (model.readiness.orphaned, model.readiness.stuck_for) == (1, 0)
    assert await turn(model.slot("next"), lambda: "served") == "served"
