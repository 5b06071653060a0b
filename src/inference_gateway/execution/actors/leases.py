"""The actors that a gateway has leases of: one for each request that waits or is served, and no more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from ray.exceptions import RayError

from inference_gateway.errors import ModelCrashed, Unavailable
from inference_gateway.execution.actors.host import ActorHost
from inference_gateway.execution.line import Line

_LOOK_SECONDS = 0.5  # between two looks for an actor, where nothing is heard

logger = logging.getLogger("inference_gateway")


class Leases:
    """Who has which actor: a place of the line stands for one. On any thread.

    `most`: how many there may be. `take()` asks the pool for one, whose answer is a future's; `give(host)`
    gives one back. Both raise `RayError` where there is no pool. `host(grant)` makes one of that answer.
    """

    def __init__(
        self,
        line: Line,
        most: int,
        take: Callable[[], Any],
        give: Callable[[ActorHost], None],
        host: Callable[[dict[str, Any]], ActorHost],
    ) -> None:
        self.is_lost = False
        self.is_closed = False
        self._line = line
        self._most = most
        self._take = take
        self._give = give
        self._host = host
        self._changed = threading.Condition()
        self._hosts: list[ActorHost | None] = [None] * most
        self._in_turn: set[int] = set()  # places
        self._asked = 0  # leases that are waited for

    def end(self, *, lost: bool) -> None:
        """Let every turn begin, and fail: the cluster is lost, or the gateway ends."""
        self.is_lost, self.is_closed = lost, not lost
        if lost:
            for host in filter(None, list(self._hosts)):
                host.hang_up()
        self._look_again()

    @property
    def is_over(self) -> bool:
        """Whether there will be no more."""
        return self.is_lost or self.is_closed

    def look(self) -> None:
        """Ask for as many actors as there are requests for, and give back those that there are more."""
        with self._changed:
            if self.is_over:
                return
            needed = min(self._line.waiting + self._line.load.taken, self._most)
            had = sum(host is not None for host in self._hosts)
            surplus = []
            for place, host in enumerate(self._hosts):
                if host is not None and place not in self._in_turn and had > needed:
                    surplus.append(host)
                    self._hosts[place] = None
                    had -= 1
            missing = max(0, needed - had - self._asked)
            self._asked += missing
        for host in surplus:
            self._give_back(host)
        for _ in range(missing):
            self._ask()

    def _ask(self) -> None:
        try:
            self._take().add_done_callback(self._granted)
        except RayError:  # the next beat asks again
            with self._changed:
                self._asked -= 1

    def _granted(self, future: Any) -> None:
        """On a thread of Ray's: the pool has given an actor, or has ended."""
        grant = None if future.cancelled() or future.exception() is not None else future.result()
        with self._changed:
            self._asked -= 1
            if grant is None:  # the next beat asks again
                return
            host = self._host(grant)
            free = [place for place in range(self._most) if self._is_free(place)]
            is_kept = bool(free) and not self.is_over
            if is_kept:
                self._hosts[free[0]] = host
        if not is_kept:
            self._give_back(host)
            return
        self._look_again()
        self.look()  # who asked may have left

    def _is_free(self, place: int) -> bool:
        return self._hosts[place] is None and place not in self._in_turn

    def _give_back(self, host: ActorHost) -> None:
        try:
            self._give(host)
        except RayError:
            logger.debug("an actor could not be given back: its pool has ended")

    def _look_again(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self._line.look_again()

    def has(self, place: int) -> bool:
        """Whether there is an actor for this place; at the end anything goes, and fails."""
        return self.is_over or self._hosts[place] is not None

    def wait_for(self, place: int) -> None:
        """Wait until the place has an actor. On a thread of the line, in a turn."""
        self.look()
        with self._changed:
            while not self.has(place) and not self._move_to(place):
                self._changed.wait(_LOOK_SECONDS)

    def _move_to(self, place: int) -> bool:
        """Give the place an actor that no turn needs. Holding the lock."""
        for other, host in enumerate(self._hosts):
            if host is not None and other not in self._in_turn and other != place:
                self._hosts[place], self._hosts[other] = host, None
                return True
        return False

    def begin(self, place: int) -> ActorHost:
        """Return the actor of this place, for one turn. Raises `RequestError` at the end."""
        while True:
            self.wait_for(place)
            with self._changed:
                host = self._hosts[place]
                if host is not None:
                    self._in_turn.add(place)
                    return host
            if self.is_lost:
                raise Unavailable("the Ray node of the gateway is gone: try again later")
            if self.is_closed:
                raise ModelCrashed("the gateway is shutting down")

    def finish(self, place: int) -> None:
        """End the turn: the actor goes back to the pool."""
        with self._changed:
            self._in_turn.discard(place)
            host, self._hosts[place] = self._hosts[place], None
        if host is not None:
            self._give_back(host)
        self.look()
