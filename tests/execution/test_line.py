"""Turns that begin on their event loop, beside those that a thread serves: one at a time, in their order."""

import asyncio
import threading
from collections.abc import Callable

from inference_gateway.execution.line import Line
from tests.harness.turns import LIMIT, turns

HERE, THREAD = "on the loop", "on the thread"


class Noted:
    """A turn that notes where each part of it is served, and ends on the loop when it is told so."""

    def __init__(self, line: Line, name: str, done: list[tuple[str, str]], *, begins_on_loop: bool) -> None:
        self.begins_on_loop = begins_on_loop
        self.place: int | None = None  # where it goes on on the loop
        self.is_served = threading.Event()
        self.go = threading.Event()
        self._line = line
        self._name = name
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def fits(self, place: int) -> bool:
        return True

    def begin_on_loop(self, place: int) -> None:
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self.begin_on_loop, place)
            return
        self._done.append((self._name, HERE))
        self.place = place

    def serve(self, place: int) -> None:
        self._done.append((self._name, THREAD))
        self.is_served.set()
        assert self.go.wait(LIMIT)

    def end(self) -> None:
        assert self.place is not None
        place, self.place = self.place, None
        self._line.over(self, place)

    def needs_thread(self) -> None:
        assert self.place is not None
        self._line.go_on(self, self.place)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - a thread's doing, of which no event tells
            await asyncio.sleep(0)


class Played:
    """A line for one turn at a time, and what has been done in it."""

    def __init__(self) -> None:
        self.line = Line("m", 1)
        self.line.share()
        self.done: list[tuple[str, str]] = []

    def turn(self, name: str, *, begins_on_loop: bool) -> Noted:
        found = Noted(self.line, name, self.done, begins_on_loop=begins_on_loop)
        self.line.join(found, asyncio.get_running_loop())
        return found


async def test_turns_of_both_kinds_follow_each_other() -> None:
    played = Played()
    first = played.turn("first", begins_on_loop=True)
    await until(lambda: first.place is not None)
    second = played.turn("second", begins_on_loop=True)
    third = played.turn("third", begins_on_loop=False)
    fourth = played.turn("fourth", begins_on_loop=True)
    await turns()
    assert played.done == [("first", HERE)]
    assert played.line.waiting == 3
    first.end()
    assert second.place is not None  # at once
    second.end()
    assert await asyncio.to_thread(third.is_served.wait, LIMIT)
    await turns()
    assert fourth.place is None
    third.go.set()
    await until(lambda: fourth.place is not None)
    fourth.end()
    assert [name for name, _ in played.done] == ["first", "second", "third", "fourth"]
    assert [where for _, where in played.done] == [HERE, HERE, THREAD, HERE]
    assert played.line.load.taken == 0
    fifth = played.turn("fifth", begins_on_loop=True)
    assert fifth.place is not None  # no thread has to wake for it
    fifth.end()
    played.line.close()


async def test_a_turn_goes_on_on_the_thread_and_keeps_its_place() -> None:
    played = Played()
    first = played.turn("first", begins_on_loop=True)
    await until(lambda: first.place is not None)
    second = played.turn("second", begins_on_loop=True)
    first.needs_thread()
    assert await asyncio.to_thread(first.is_served.wait, LIMIT)
    await turns()
    assert second.place is None
    assert played.line.load.taken == 1
    first.go.set()
    await until(lambda: second.place is not None)
    second.end()
    assert played.done == [("first", HERE), ("first", THREAD), ("second", HERE)]
    played.line.close()


async def test_an_orphan_on_the_loop_is_counted_until_its_end() -> None:
    played = Played()
    turn = played.turn("first", begins_on_loop=True)
    await until(lambda: turn.place is not None)
    assert not played.line.leave(turn)
    played.line.orphan(turn)
    assert played.line.load.orphaned == 1
    turn.end()
    assert played.line.load[:3] == (0, 0, 0.0)
    played.line.close()


async def test_a_line_that_is_closed_ends_its_threads() -> None:
    before = threading.active_count()
    played = Played()
    first = played.turn("first", begins_on_loop=True)
    await until(lambda: first.place is not None)
    second = played.turn("second", begins_on_loop=True)
    assert threading.active_count() > before
    played.line.close()
    first.end()
    assert second.place is not None  # who waited is served
    second.end()
    await until(lambda: threading.active_count() <= before)
