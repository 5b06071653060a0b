"""The slots of one model on a cluster: a small actor that has them, and gives them to gateways in turn.

There is one pool for all gateways that serve the same model: a request that waits gets the next actor that
is free, first come, first served, whichever gateway has it. An actor is in the pool when it has answered,
and out of it while a gateway has its lease; one that ended badly is in it again only in its next life.

The pool lives on the head node, whose end is that of the cluster, and its actors end with it. It ends with
the last gateway, or when it has heard of none for a while.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from inference_gateway.execution.actors.actor import CONTROL, ModelActor

SILENT = 15.0  # seconds after which a gateway is held to be dead

_LONGEST_PAUSE = 30.0  # seconds between two attempts to set a model up
_TEAR_DOWN_SECONDS = 25.0
_TICK = 0.5
_KILL_SECONDS = 20.0  # for a killed actor to end
_PATIENCE = 3.0  # seconds for an actor to say that it lives

Grant = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How many actors there are. `options`: of each, for Ray. `idle`: seconds after which one ends.

    `ports`: where they listen, the first and the last.
    """

    least: int
    most: int
    options: dict[str, Any]
    idle: float
    max_calls: int = 0
    ports: tuple[int, int] = (0, 0)


@dataclass(eq=False)
class _Place:
    """One actor, through all its lives. `lease`: gateway and turn, while one has it."""

    actor: Any
    task: asyncio.Task[None] | None = None
    born: str | None = None  # which life of it is up
    last: str | None = None  # which one was, last
    address: tuple[str, str, int] | None = None  # where that one is met
    spoilt: str | None = None  # which one must not be called again
    killed: tuple[str, float] | None = None  # which one was, and when
    lease: tuple[str, str] | None = None
    returned: asyncio.Event = field(default_factory=asyncio.Event)
    is_spoilt: asyncio.Event = field(default_factory=asyncio.Event)
    idle_since: float = field(default_factory=time.monotonic)
    calls: int = 0

    def granted(self, turn: str) -> Grant:
        """Return what a gateway is told that has it for a turn."""
        return {"turn": turn, "actor": self.actor, "born": self.born, "address": self.address}


class Pool:
    """The actor with the slots. `setup`: what each of its actors is told of the model."""

    def __init__(self, setup: dict[str, Any], plan: Plan) -> None:
        self._setup = setup
        self._plan = plan
        self._places: list[_Place] = []
        self._gateways: dict[str, float] = {}  # when each was heard of last
        self._waiting: deque[tuple[str, asyncio.Future[Grant | None]]] = deque()
        self._crashes = 0  # in a row
        self._failed: dict[str, Any] | None = None  # what went wrong when the model was set up last
        self._retiring: set[asyncio.Task[Any]] = set()
        self._restarts: Counter[str] = Counter()
        self._seconds = 0.0
        self._model_info: dict[str, Any] | None = None  # as the last actor told
        self._begun = time.monotonic()
        self._ending: asyncio.Task[dict[str, Any]] | None = None
        self._watch: asyncio.Task[None] | None = None

    # For gateways

    async def beat(self, gateway: str) -> dict[str, Any]:
        """Note that this gateway lives; tell it how things are."""
        if self._ending is None:
            self._gateways[gateway] = time.monotonic()
            if self._watch is None:
                self._watch = asyncio.create_task(self._watch_over())
                for _ in range(self._plan.least):
                    self._add()
        return {
            "up": sum(place.born is not None for place in self._places),
            "actors": len(self._places),
            "crashes": self._crashes,
            "failed": self._failed,
            "restarts": dict(self._restarts),
            "setup_seconds": self._seconds,
            "model_info": self._model_info,
            "ending": self._ending is not None,
        }

    async def take(self, gateway: str) -> Grant | None:
        """Wait for an actor, and give it to this gateway; None where the pool ends."""
        if self._ending is not None or gateway not in self._gateways:
            return None
        future: asyncio.Future[Grant | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((gateway, future))
        self._match()
        return await future

    async def give(self, turn: str, reason: str | None) -> None:
        """Take an actor back. `reason`: why this life of it must not be called again."""
        place = next((place for place in self._places if place.lease and place.lease[1] == turn), None)
        if place is None:
            return
        place.lease = None
        place.idle_since = time.monotonic()
        place.calls += 1
        if reason is None and self._plan.max_calls and place.calls >= self._plan.max_calls:
            reason = "max_calls"
        if reason is None:
            self._crashes = 0
        else:
            self._spoil(place, reason)
        place.returned.set()
        self._match()

    async def leave(self, gateway: str) -> dict[str, Any]:
        """Note that this gateway ends. With the last one the pool does; returns what went wrong then."""
        self._drop(gateway)
        if self._gateways:
            return {}
        return await self._end()

    # Slots

    def _match(self) -> None:
        """Give what is free to those who wait, and start an actor where more wait than there will be."""
        self._waiting = deque(each for each in self._waiting if not each[1].done())
        for place in self._places:
            if not self._waiting:
                return
            if place.born is not None and place.lease is None:
                gateway, future = self._waiting.popleft()
                turn = uuid.uuid4().hex
                place.lease = gateway, turn
                place.returned.clear()
                future.set_result(place.granted(turn))
        coming = sum(place.born is None for place in self._places)
        for _ in range(min(len(self._waiting) - coming, self._plan.most - len(self._places))):
            self._add()

    def _add(self) -> None:
        make: Any = ray.remote(concurrency_groups=CONTROL, max_restarts=-1, max_task_retries=0)
        actor = make(ModelActor).options(**self._plan.options).remote(self._setup, self._plan.ports)
        place = _Place(actor)
        self._places.append(place)
        place.task = asyncio.create_task(self._keep(place))

    def _spoil(self, place: _Place, reason: str) -> None:
        """Take the present life of an actor out of the pool for good."""
        place.spoilt, place.born = place.last, None
        place.is_spoilt.set()
        self._count(reason)

    def _count(self, reason: str) -> None:
        self._restarts[reason] += 1
        self._crashes += reason == "crash"

    async def _keep(self, place: _Place) -> None:
        """Have the actor set up, watch it, and again in its next life."""
        while True:
            last = place.last
            await self._set_up(place)
            if last not in (None, place.last, place.spoilt):  # it ended between two calls
                self._count("crash")
            self._match()
            await self._until_it_ends(place)
            if place.lease is not None:  # the gateway that has it says why
                await place.returned.wait()
            place.born = None

    async def _until_it_ends(self, place: _Place) -> None:
        """Return when the actor is spoilt, or seems to have ended: it is asked then."""

        async def live() -> None:
            with suppress(RayError):
                await place.actor.live.remote()

        ends = [asyncio.ensure_future(each) for each in (live(), place.is_spoilt.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ends:
                each.cancel()

    async def _set_up(self, place: _Place) -> None:
        """Return when the actor has answered in a life that is not spoilt. A spoilt one is killed."""
        pause, deaths = _TICK, 0
        while True:
            life = await self._life(place)
            if life is None:  # it is being restarted, or has no node yet
                await asyncio.sleep(0.1)
                continue
            if life == place.spoilt:
                _kill(place, life)
                await asyncio.sleep(_TICK)
                continue
            try:
                told = await place.actor.set_up.remote()
            except RayError:
                deaths += 1
                told = {"error": "failed", "traceback": "the actor ended while the model was set up"}
            else:
                if told.get("born") == life:
                    break
                _kill(place, life)
            if "error" in told:
                self._failed = None if deaths == 1 else told
                self._crashes += 1
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._failed = None
        self._seconds, self._model_info = told["seconds"], told["model_info"]
        if place.last != life:
            place.calls, place.last, place.address = 0, life, told["address"]
            place.is_spoilt.clear()
        place.idle_since, place.born = time.monotonic(), life

    async def _life(self, place: _Place) -> str | None:
        """Ask the actor which life it is in; a spoilt one that does not answer is taken for what it was."""
        with suppress(RayError):
            try:
                found: str = await asyncio.wait_for(_answer(place.actor.life.remote()), _PATIENCE)
                return found
            except TimeoutError:
                return place.spoilt if place.spoilt == place.last else None
        return None

    # Watching

    async def _watch_over(self) -> None:
        while self._ending is None:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            for gateway, heard in list(self._gateways.items()):
                if now - heard > SILENT:
                    self._drop(gateway)
            if not self._gateways:
                await self._end()
                return
            self._shrink(now)

    def _drop(self, gateway: str) -> None:
        """Forget a gateway: what it has goes back, and a call of it that goes on is ended."""
        self._gateways.pop(gateway, None)
        for waiting, future in self._waiting:
            if waiting == gateway and not future.done():
                future.set_result(None)
        for place in self._places:
            if place.lease is not None and place.lease[0] == gateway:
                place.lease = None
                self._spoil(place, "abandoned")
                place.returned.set()
        self._match()

    def _shrink(self, now: float) -> None:
        for place in list(self._places):
            idle = place.lease is None and now - place.idle_since > self._plan.idle
            if idle and len(self._places) > self._plan.least and not self._waiting:
                self._places.remove(place)
                self._retiring.add(task := asyncio.create_task(self._retire(place)))
                task.add_done_callback(self._retiring.discard)

    async def _retire(self, place: _Place) -> dict[str, Any]:
        """End an actor, and its model; return what went wrong."""
        told: dict[str, Any] = {}
        if place.task is not None:
            place.task.cancel()
        if place.born is not None:
            try:
                told = await asyncio.wait_for(asyncio.shield(_torn_down(place.actor)), _TEAR_DOWN_SECONDS)
            except TimeoutError:
                told = {"error": "failed", "traceback": "the model's teardown took too long"}
            except RayError:
                pass
        with suppress(RayError):
            ray.kill(place.actor, no_restart=True)
        return told

    async def _end(self) -> dict[str, Any]:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_all())
        return await asyncio.shield(self._ending)

    async def _end_all(self) -> dict[str, Any]:
        for _, future in self._waiting:
            if not future.done():
                future.set_result(None)
        found = await asyncio.gather(*map(self._retire, self._places), *self._retiring)
        self._places.clear()
        me = ray.get_runtime_context().current_actor
        asyncio.get_running_loop().call_later(_TICK, ray.kill, me)  # when the answer has gone
        return next((told for told in found if told and "error" in told), {})


def _kill(place: _Place, life: str) -> None:
    """End this life of an actor. Once: a kill that comes late hits the next life."""
    now = time.monotonic()
    if place.killed is None or place.killed[0] != life or now - place.killed[1] > _KILL_SECONDS:
        place.killed = life, now
        with suppress(RayError):
            ray.kill(place.actor, no_restart=False)


async def _answer(ref: Any) -> Any:
    return await ref


async def _torn_down(actor: Any) -> dict[str, Any]:
    told: dict[str, Any] = await actor.tear_down.remote()
    return told
