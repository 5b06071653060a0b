"""How batches are made: of whom, when they go, and what is left of those who leave."""

import asyncio
import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from inference_gateway import Request, current_request
from inference_gateway.errors import ModelFailed, ModelTimeout, Unavailable, UnusableModel
from inference_gateway.execution.batch_runner import BatchRunner
from inference_gateway.execution.line import Line
from inference_gateway.execution.thread_runner import ThreadRunner
from tests.harness.turns import LIMIT, Whole, turns
from tests.harness.waiting import until


@dataclass
class Asked:
    """A study without a body."""

    json_input: Any = None
    inputs: list[Any] = field(default_factory=list)
    input_hash: str = ""
    spool: Any = field(default_factory=nullcontext)


class Result(Whole):
    def __init__(self, result: Any, inputs: Any = ()) -> None:
        super().__init__(result)
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Recorder:
    """A model that notes its batches. `hold` has it wait before it returns."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.go.set()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, requests: list[Request]) -> Any:
        numbers = [request.json_input for request in requests]
        with self._lock:
            self.batches.append(numbers)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        assert self.go.wait(LIMIT)
        with self._lock:
            self.at_once -= 1
        if "bad" in numbers:
            raise ValueError("as asked for")
        return numbers


@pytest.fixture
def model() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.go.set()


def batching(
    model: Any,
    *,
    size: int = 8,
    wait: float = 0.0,
    concurrency: int = 1,
    timeout: float | None = None,
    queue_timeout: float | None = None,
    check: Callable[[Any, Any], Any] = Result,
) -> BatchRunner:
    line = Line("m", concurrency)
    runner = ThreadRunner("/", model, check, line, name="m", timeout=timeout, queue_timeout=queue_timeout)
    return BatchRunner(runner, max_size=size, max_wait=wait, timeout=timeout, queue_timeout=queue_timeout)


async def ask(runner: BatchRunner, number: Any = 0, *, on_start: Callable[[], None] | None = None) -> Any:
    slot = runner.slot(str(number), on_start)
    try:
        return (await slot.compute(Asked(number))).result
    finally:
        slot.release()


def asking(runner: BatchRunner, *numbers: Any) -> list["asyncio.Task[Any]"]:
    return [asyncio.create_task(ask(runner, number)) for number in numbers]


async def taken(model: Recorder) -> None:
    """Wait until the model has been called once more."""
    assert await asyncio.to_thread(model.begun.acquire, timeout=LIMIT)


async def idle(runner: BatchRunner) -> None:
    async with asyncio.timeout(LIMIT):
        while runner.readiness.taken:  # noqa: ASYNC110 - a thread's doing, of which no event tells
            await asyncio.sleep(0)
    assert runner.readiness.orphaned == 0
    assert runner.waiting == 0


async def test_those_who_wait_for_the_slot_go_together(model: Recorder) -> None:
    """In the order in which they came, and no more than fit; nobody waits for others."""
    runner = batching(model, size=3)
    model.go.clear()
    first = asking(runner, "first")
    await taken(model)
    others = asking(runner, *range(7))
    await turns()
    assert runner.waiting == 7
    model.go.set()
    assert await asyncio.gather(*first, *others) == ["first", *range(7)]
    assert model.batches == [["first"], [0, 1, 2], [3, 4, 5], [6]]
    assert dict(runner.sizes) == {1: 2, 3: 2}
    await idle(runner)


async def test_a_free_slot_waits_for_a_full_batch(model: Recorder) -> None:
    runner = batching(model, size=3, wait=LIMIT)
    first = asking(runner, 1, 2)
    await turns()
    assert model.batches == []
    assert await asyncio.gather(*first, *asking(runner, 3)) == [1, 2, 3]
    assert model.batches == [[1, 2, 3]]
    await idle(runner)


async def test_a_free_slot_does_not_wait_for_ever(model: Recorder) -> None:
    runner = batching(model, size=3, wait=0.1)
    begun = time.monotonic()
    assert await asyncio.gather(*asking(runner, 1, 2)) == [1, 2]
    assert time.monotonic() - begun >= 0.09
    assert model.batches == [[1, 2]]
    await idle(runner)


async def test_a_full_batch_leaves_the_rest_to_another_slot(model: Recorder) -> None:
    runner = batching(model, size=2, wait=LIMIT, concurrency=2)
    model.go.clear()
    asked = asking(runner, 1, 2, 3, 4)
    await taken(model)
    await taken(model)
    model.go.set()
    assert await asyncio.gather(*asked) == [1, 2, 3, 4]
    assert model.most_at_once == 2
    assert sorted(map(len, model.batches)) == [2, 2]
    await idle(runner)


async def test_one_call_at_a_time_on_one_slot(model: Recorder) -> None:
    runner = batching(model, size=4)
    asked = asking(runner, *range(200))
    for number, task in enumerate(asked[::7]):
        asyncio.get_running_loop().call_later(0.0003 * number, task.cancel)
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert model.most_at_once == 1
    assert all(end == number or isinstance(end, asyncio.CancelledError) for number, end in enumerate(ends))
    assert max(map(len, model.batches)) == 4
    await idle(runner)


async def test_who_leaves_while_a_batch_is_made(model: Recorder) -> None:
    runner = batching(model, size=2, wait=LIMIT)
    (leaving,) = asking(runner, 1)
    await turns()
    leaving.cancel()
    await turns()
    others = asking(runner, 3, 4)
    assert await asyncio.gather(*others) == [3, 4]
    assert model.batches == [[3, 4]]
    await idle(runner)


async def test_when_all_have_left_their_turn_is_given_up(model: Recorder) -> None:
    """Who comes next takes a turn of its own."""
    runner = batching(model, size=2)
    model.go.clear()
    first = asking(runner, "first")
    await taken(model)
    for _ in range(50):
        leaving = asking(runner, 1, 2, 3)
        await turns()
        for task in leaving:
            task.cancel()
        await turns()
        assert runner.waiting == 0
    last = asking(runner, "last")
    await turns()
    model.go.set()
    assert await asyncio.gather(*first, *last) == ["first", "last"]
    assert model.batches == [["first"], ["last"]]
    await idle(runner)


async def test_a_request_that_fails_the_call_fails_alone(model: Recorder) -> None:
    runner = batching(model, size=3, wait=LIMIT)
    found = await asyncio.gather(*asking(runner, 1, "bad", 2), return_exceptions=True)
    assert [found[0], found[2]] == [1, 2]
    assert isinstance(found[1], ModelFailed)
    assert isinstance(found[1].__cause__, ValueError)
    assert model.batches == [[1, "bad", 2], [1], ["bad"], [2]]
    await idle(runner)


async def test_a_batch_of_one_is_not_called_again(model: Recorder) -> None:
    runner = batching(model)
    with pytest.raises(ModelFailed):
        await ask(runner, "bad")
    assert model.batches == [["bad"]]
    await idle(runner)


async def test_who_has_left_is_not_called_again(model: Recorder) -> None:
    runner = batching(model, size=3, wait=LIMIT)
    model.go.clear()
    asked = asking(runner, 1, "bad", 2)
    await taken(model)
    asked[0].cancel()
    await turns()
    model.go.set()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert isinstance(found[1], ModelFailed)
    assert found[2] == 2
    assert model.batches == [[1, "bad", 2], ["bad"], [2]]
    await idle(runner)


async def test_a_call_of_which_nobody_is_left_is_an_orphan_until_it_returns(model: Recorder) -> None:
    runner = batching(model, size=2, wait=LIMIT)
    model.go.clear()
    asked = asking(runner, 1, 2)
    await taken(model)
    asked[0].cancel()
    await turns()
    assert runner.readiness.orphaned == 0
    asked[1].cancel()
    await turns()
    assert runner.readiness.orphaned == 1
    later = asking(runner, 3, 4)
    await turns()
    assert len(model.batches) == 1
    model.go.set()
    assert await asyncio.gather(*later) == [3, 4]
    await idle(runner)


async def test_a_result_that_nobody_waits_for_is_closed(model: Recorder) -> None:
    made: list[Result] = []

    def check(result: Any, inputs: Any) -> Result:
        made.append(Result(result))
        return made[-1]

    runner = batching(model, size=2, wait=LIMIT, check=check)
    model.go.clear()
    asked = asking(runner, 1, 2)
    await taken(model)
    asked[0].cancel()
    await turns()
    model.go.set()
    assert await asked[1] == 2
    await idle(runner)
    assert {each.result: each.closed for each in made} == {1: True, 2: False}


@pytest.mark.slow
async def test_a_deadline_counts_from_when_the_request_came_into_the_batch() -> None:
    """The one who came first is late first; the call, and the others, go on."""
    seen = threading.Event()

    def model(requests: list[Request]) -> Any:
        first, second = requests
        assert first.deadline is not None
        assert second.deadline is not None
        assert current_request().deadline == second.deadline > first.deadline
        while not first.cancelled:
            time.sleep(0.001)
        assert not second.cancelled
        assert not current_request().cancelled
        seen.set()
        return ["late", "in time"]

    runner = batching(model, size=2, wait=4.5, timeout=5.0)
    first = asyncio.create_task(ask(runner))
    await asyncio.to_thread(threading.Event().wait, 2.0)
    second = asyncio.create_task(ask(runner))
    with pytest.raises(ModelTimeout) as late:
        await first
    assert "test_batch_runner.py" in late.value.stack
    assert await second == "in time"
    assert seen.is_set()
    await idle(runner)


async def test_without_a_time_limit_there_is_no_deadline() -> None:
    runner = batching(lambda requests: [(requests[0].deadline, current_request().remaining())])
    assert await ask(runner) == (None, None)


@pytest.mark.slow
async def test_waiting_too_long_for_the_slot(model: Recorder) -> None:
    runner = batching(model, queue_timeout=2.0)
    model.go.clear()
    first = asking(runner, "first")
    await taken(model)
    with pytest.raises(Unavailable):
        await ask(runner, 2)
    model.go.set()
    assert await first[0] == "first"
    assert model.batches == [["first"]]
    await idle(runner)


async def test_a_request_is_told_when_it_is_in_a_batch(model: Recorder) -> None:
    """Its place in the queue is free then, so that more can come into the batch that is made."""
    runner = batching(model, size=3, wait=LIMIT)
    started: list[int] = []
    first = asyncio.create_task(ask(runner, 1, on_start=lambda: started.append(1)))
    await asyncio.to_thread(until, lambda: started)
    second = asyncio.create_task(ask(runner, 2, on_start=lambda: started.append(2)))
    await turns()
    assert started == [1, 2]
    third = asyncio.create_task(ask(runner, 3, on_start=lambda: started.append(3)))
    await asyncio.gather(first, second, third)
    assert started == [1, 2, 3]


async def test_no_thread_for_a_turn(model: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = batching(model)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(Unavailable):
            await ask(runner)
    assert await ask(runner, 1) == 1
    await idle(runner)


async def test_nothing_of_a_request_outlives_it(model: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the garbage collector: whole, failed or cancelled."""
    monkeypatch.setattr(logging.getLogger("inference_gateway"), "disabled", True)  # pytest keeps the lines
    runner = batching(model, size=3, wait=LIMIT)
    kept: list[weakref.ref[Any]] = []

    async def one(number: Any) -> Any:
        study = Asked(number)
        kept.append(weakref.ref(study))
        slot = runner.slot("r")
        kept.append(weakref.ref(slot))
        try:
            return await slot.compute(study)
        except ModelFailed as error:
            for each in (error, error.__cause__):
                assert each is not None
                each.__traceback__ = None
            return None
        finally:
            slot.release()

    gc.collect()
    gc.disable()
    try:
        model.go.clear()
        tasks = [asyncio.create_task(one(number)) for number in (1, "bad", 2)]
        await taken(model)
        tasks.pop().cancel()
        await turns()
        model.go.set()
        await asyncio.gather(*tasks)
        del tasks
        await idle(runner)
        await turns()
        assert [each() for each in kept] == [None] * len(kept)
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("size", "wait"), [(0, 0.0), (201, 0.0), (1, -1.0), (1, float("nan")), (8, 5.0), (8, 1e300)]
)
def test_limits_that_cannot_be(size: int, wait: float) -> None:
    with pytest.raises(UnusableModel, match="max_batch"):
        batching(Recorder(), size=size, wait=wait, timeout=5.0)


async def test_its_life_is_that_of_the_model() -> None:
    steps: list[str] = []

    class Model(Recorder):
        def setup(self) -> None:
            steps.append("setup")

        def teardown(self) -> None:
            steps.append("teardown")

    runner = batching(Model())
    assert runner.needs_set_up
    assert (runner.route, runner.name) == ("/", "m")
    await runner.set_up()
    await runner.tear_down()
    runner.close()
    assert steps == ["setup", "teardown"]


async def test_routes_that_share_a_slot() -> None:
    """Two models that take batches and one that does not: never two at once."""
    line, at_once, most, calls = Line("gpu", 1), 0, 0, 0

    def alone() -> None:
        nonlocal at_once, most, calls
        at_once += 1
        most = max(most, at_once)
        calls += 1
        time.sleep(0.0005)
        at_once -= 1

    def together(requests: list[Request]) -> Any:
        alone()
        return [request.json_input for request in requests]

    def single(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        alone()
        return json_input

    limits: dict[str, Any] = {"timeout": LIMIT, "queue_timeout": LIMIT}
    runners = [
        BatchRunner(
            ThreadRunner("/", together, Result, line, name="m", **limits),
            max_size=3,
            max_wait=0.001,
            **limits,
        )
        for _ in range(2)
    ]
    other = ThreadRunner("/", single, Result, line, name="m", **limits)

    async def ask_other(number: int) -> Any:
        slot = other.slot("r")
        try:
            return (await slot.compute(Asked(number))).result
        finally:
            slot.release()

    answers = [ask(runner, number) for number in range(40) for runner in runners]
    assert await asyncio.gather(*answers, *map(ask_other, range(40))) == [
        *(number for number in range(40) for _ in runners),
        *range(40),
    ]
    assert most == 1
    assert calls < 120
    for runner in runners:
        await idle(runner)
