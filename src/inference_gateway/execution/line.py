"""Who waits for a model, and the threads that serve them: first come, first served.

A route has a thread for each call that may run at once, and a slot is a turn at the place of such a thread.
The next turn begins when the one before is really over. Python cannot stop a thread, so a call whose caller
is gone or whose time is up keeps its place (an orphan) until it returns, and more models never run at once
than were asked for.

A turn that only waits for another process needs no thread for that: it begins on its event loop, and the
thread of its place sleeps. To hand Python's lock to and fro would cost more than the rest of a small request.

The threads are daemons: the interpreter would join others at exit, so that a hung model would keep the
process from ending.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from inference_gateway.errors import Unavailable


class Turn(Protocol):
    """What waits in a line."""

    def fits(self, place: int) -> bool:
        """Whether it can be served on the thread of this number now. Else those behind it go first."""
        ...

    @property
    def begins_on_loop(self) -> bool:
        """Whether it begins without a thread."""
        ...

    def begin_on_loop(self, place: int) -> None:
        """Begin on its event loop, if it does so; it says when it is over, or needs the thread to go on.

        From any thread; does not wait. See `Line.over`, `Line.go_on`.
        """
        ...

    def serve(self, place: int) -> None:
        """Take the whole turn, or what is left of it, on the thread of this number. Raises nothing."""
        ...


class Load(NamedTuple):
    """How busy a line is.

    `slots`: turns that may go on at once; `taken`: those that do, orphans too. `stuck_for`: seconds since
    each thread of the line has an orphan, 0.0 where one has none. `unready`, `unhealthy`: why the model
    cannot be called now, or will never be again, where that is so.
    """

    taken: int
    orphaned: int
    stuck_for: float
    unready: str | None = None
    unhealthy: str | None = None
    slots: int = 1


class Line:
    """The line of one model, or of several that share it.

    `name`: for its threads. `threads`: how many turns may go on at once. `devices`: of each, where they have
    any.
    """

    def __init__(self, name: str, threads: int, devices: Sequence[str] = ()) -> None:
        self.devices = devices
        self._name = name
        self._most_threads = threads
        self._threads = 0
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Turn, None] = OrderedDict()
        self._taken: set[Turn] = set()
        self._orphans: set[Turn] = set()
        self._stuck_since: float | None = None  # by time.monotonic()
        # Of each thread: the turn that it serves next, or None to have it look at the line.
        self._wakes: list[queue.SimpleQueue[Turn | None]] = []
        self._idle: list[int] = []  # the places where there is nothing to do
        self._closed = False
        self._users = 0

    @property
    def waiting(self) -> int:
        """Turns that have not begun."""
        return len(self._waiting)

    @property
    def load(self) -> Load:
        """How busy it is now."""
        since = self._stuck_since
        stuck_for = 0.0 if since is None else time.monotonic() - since
        return Load(len(self._taken), len(self._orphans), stuck_for, slots=self._most_threads)

    def join(self, turn: Turn, loop: asyncio.AbstractEventLoop) -> None:
        """Lines up at the end. Raises `Unavailable` where the system has no thread for it."""
        with self._lock:
            self._waiting[turn] = None
            if len(self._waiting) + len(self._taken) > self._threads < self._most_threads:
                self._start_thread()
            for place in reversed(self._idle):
                if turn.fits(place):
                    break
            else:
                return  # who is busy looks at the line when that is over
            self._idle.remove(place)
            on_loop = turn.begins_on_loop
            if on_loop:
                self._take(turn)
        if on_loop:
            turn.begin_on_loop(place)
            return
        # When the loop is done with what is ready: a thread that wakes before only fights it for the lock.
        loop.call_soon(self._wakes[place].put, None)

    def look_again(self) -> None:
        """Look again: a place serves turns that it did not before."""
        with self._lock:
            self._wake_idle()

    def _wake_idle(self) -> None:
        for place in self._idle:
            self._wakes[place].put(None)
        self._idle.clear()

    def share(self) -> None:
        """One more route uses the line, and closes it at its end."""
        self._users += 1

    def leave(self, turn: Turn) -> bool:
        """Give a turn up that has not begun; return whether it had not. The line gets shorter at once."""
        with self._lock:
            if turn not in self._waiting:
                return False
            del self._waiting[turn]
            return True

    def orphan(self, turn: Turn) -> None:
        """Nobody waits for the end of this turn any more."""
        with self._lock:
            if turn in self._taken:
                self._orphans.add(turn)
                if len(self._orphans) == self._most_threads:
                    self._stuck_since = time.monotonic()

    def go_on(self, turn: Turn, place: int) -> None:
        """Have the rest of a turn that began on its loop served on the thread of its place."""
        self._wakes[place].put(turn)

    def over(self, turn: Turn, place: int) -> None:
        """End a turn on the loop where it began: the next one is served."""
        self._end(turn)
        following = self._next(place)
        if following is None:
            if self._is_over:
                self._wakes[place].put(None)
        elif following.begins_on_loop:
            following.begin_on_loop(place)
        else:
            self._wakes[place].put(following)

    def close(self) -> None:
        """End the threads when all turns are over and all routes that share the line have closed it."""
        self._users -= 1
        if self._users > 0:
            return
        with self._lock:
            self._closed = True
            self._wake_idle()

    def _start_thread(self) -> None:
        """Raise `Unavailable` where the system has none left and there is no other to serve the line."""
        name = f"{self._name} {self._threads + 1}"
        self._wakes.append(queue.SimpleQueue())
        try:
            threading.Thread(target=self._work, args=(self._threads,), name=name, daemon=True).start()
        except RuntimeError as error:
            self._wakes.pop()
            if not self._threads:
                raise Unavailable("the gateway has no thread for the model: try again later") from error
        else:
            self._threads += 1

    def _work(self, place: int) -> None:
        while True:
            turn = self._next(place)
            if turn is None and self._is_over:
                return
            if turn is not None and turn.begins_on_loop:
                turn.begin_on_loop(place)
                turn = None
            if turn is None:
                turn = self._wakes[place].get()
            if turn is not None:
                turn.serve(place)
                self._end(turn)
            del turn  # an idle thread must not keep a request alive

    def _next(self, place: int) -> Turn | None:
        """Return the next turn for this place, whose it is from now on; None where there is nothing to do."""
        with self._lock:
            for turn in self._waiting:
                if turn.fits(place):
                    self._take(turn)
                    return turn
            if not self._is_over:
                self._idle.append(place)
            return None

    @property
    def _is_over(self) -> bool:
        return self._closed and not self._waiting

    def _take(self, turn: Turn) -> None:
        del self._waiting[turn]
        self._taken.add(turn)

    def _end(self, turn: Turn) -> None:
        with self._lock:
            self._taken.discard(turn)
            if turn in self._orphans:
                self._orphans.discard(turn)
                self._stuck_since = None
