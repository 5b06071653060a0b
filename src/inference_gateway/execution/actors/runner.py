"""A model in Ray actors: a `Runner` whose turns begin when the pool has given an actor.

The gateway keeps in touch with the pool twice a second, and with the cluster, without which it cannot live.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError

from inference_gateway.errors import SetupFailed
from inference_gateway.execution.actors.cluster import NAMESPACE, ClusterConnection
from inference_gateway.execution.actors.host import ActorHost
from inference_gateway.execution.actors.leases import Leases
from inference_gateway.execution.actors.pool import SILENT, Plan, Pool
from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.line import Line, Load
from inference_gateway.execution.model_info import ModelInfo
from inference_gateway.execution.process.host import Recipe
from inference_gateway.execution.process.telling import RemoteError
from inference_gateway.execution.process.turn import Ends, HostSlot
from inference_gateway.telemetry.families import MODEL_ACTORS, MODEL_RESTARTS, MODEL_SETUP_SECONDS, Sample
from inference_gateway.telemetry.identity import TraceContext

logger = logging.getLogger("inference_gateway")

_CRASHES = 5  # in a row, after which something is wrong that no new life of an actor mends
_BEAT = 0.5  # seconds
_TEAR_DOWN_SECONDS = 30.0
_NO_ROOM_SECONDS = 30.0  # after which it is said that actors wait for a node


class RayRunner:
    """One route's model in Ray actors. `recipe`: what is run; `plan`: in how many actors, of what.

    `pool`: the name of the pool, the same for all gateways that share it. `by_network`: files never cross by
    descriptor.
    """

    needs_set_up = True

    def __init__(
        self,
        recipe: Recipe,
        plan: Plan,
        pool: str,
        *,
        name: str,
        address: str | None,
        ends: Ends,
        timeout: float | None,
        queue_timeout: float | None,
        by_network: bool,
    ) -> None:
        self.route = recipe.route
        self.name = name
        self.line = Line(f"model {name}", plan.most)
        self.line.share()
        self.ends = ends
        self.model_info = recipe.model_info
        self._recipe = recipe
        self._plan = plan
        self._pool_name = pool
        self._address = address
        self._limits: dict[str, Any] = {"timeout": timeout, "queue_timeout": queue_timeout}
        self._by_network = by_network
        self._id = uuid.uuid4().hex
        self._cluster: ClusterConnection | None = None
        self._pool: Any = None
        self._state: dict[str, Any] = {}  # of the pool
        self._heard = time.monotonic()  # when the pool answered last
        self._closed = threading.Event()
        self._lost: Future[str] = Future()
        self._leases = Leases(self.line, plan.most, self._take, self._give, self._host)

    # A runner

    @property
    def readiness(self) -> Load:
        """How busy its turns are, and whether there are actors."""
        load = self.line.load
        cluster, state = self._cluster, self._state
        if cluster is not None and cluster.lost is not None:
            return load._replace(unhealthy=cluster.lost)
        if state.get("crashes", 0) >= _CRASHES:
            return load._replace(unhealthy="a model's actor ends again and again")
        if cluster is not None and cluster.head_is_gone:
            return load._replace(unready="the head of the Ray cluster does not answer")
        if time.monotonic() - self._heard > SILENT / 2:
            return load._replace(unready="the Ray cluster does not answer")
        if not state.get("up"):
            return load._replace(unready="no Ray actor of the model is up")
        return load

    def samples(self) -> Iterator[Sample]:
        """Tell what the pool has told last, which is the same for all its gateways."""
        state, where = self._state, (self.route,)
        for reason, count in state.get("restarts", {}).items():
            yield Sample(MODEL_RESTARTS, (reason, self.route), (count,), largest=True)
        yield Sample(MODEL_SETUP_SECONDS, where, (state.get("setup_seconds", 0.0),), largest=True)
        yield Sample(MODEL_ACTORS, where, (state.get("actors", 0),), largest=True)

    def slot(
        self,
        request_id: str,
        on_start: Callable[[], None] | None = None,
        trace: TraceContext | None = None,
    ) -> RaySlot:
        """Return a turn for one request. `on_start` is called on the turn's thread when it begins."""
        request = CurrentRequest(request_id, self.route, trace=trace)
        return RaySlot(self.line, request, self, on_start=on_start, **self._limits)

    async def set_up(self) -> None:
        """Connect, and wait until an actor is up. Raises `SetupFailed`."""
        await asyncio.to_thread(self._connect)
        begun, said = time.monotonic(), False
        while not self._state.get("up"):
            if self._closed.is_set():
                raise asyncio.CancelledError
            if (failed := self._state.get("failed")) is not None:
                raise SetupFailed(f"model {self.name}: it could not be set up") from RemoteError(
                    failed["traceback"]
                )
            if self._lost.done():
                raise SetupFailed(self._lost.result())
            if not said and time.monotonic() - begun > _NO_ROOM_SECONDS:
                said = True
                logger.warning(
                    "model %s: its actors are being set up, or no node of the cluster has what they need: "
                    "see `ray status`",
                    self.name,
                )
            await asyncio.sleep(0.05)

    async def tear_down(self) -> None:
        """Leave the pool, which tears the model down after the last gateway. Raises what fails there."""
        told = await asyncio.to_thread(self._leave, _TEAR_DOWN_SECONDS)
        if "error" in told:
            raise RemoteError(told["traceback"])

    def close(self) -> None:
        """Leave the pool and do not wait: calls that go on are ended."""
        self._leave(0.0)

    async def lost(self) -> str:
        """Wait until the cluster is gone for good, and say how."""
        return await asyncio.shield(asyncio.wrap_future(self._lost))

    # The pool

    def _connect(self) -> None:
        self._cluster = cluster = ClusterConnection(self._address)
        self._find_pool()
        threading.Thread(target=self._watch, args=(cluster,), name="ray", daemon=True).start()

    def _find_pool(self) -> None:
        """Find the pool that serves the same model, or make it."""
        assert self._cluster is not None
        options = {
            "name": self._pool_name,
            "namespace": NAMESPACE,
            "get_if_exists": True,
            "lifetime": "detached",
            "num_cpus": 0,
            "max_restarts": -1,
            "max_concurrency": 10_000,
        }
        try:
            place = self._cluster.near_the_head()
            pool: Any = ray.remote(Pool).options(scheduling_strategy=place, **options)
            self._pool = pool.remote(self._recipe.told(), self._plan)
        except (RayError, ValueError) as error:  # it is just ending: the next beat tries again
            kind = type(error).__name__
            logger.warning("model %s: its pool of actors cannot be made now (%s)", self.name, kind)

    def _watch(self, cluster: ClusterConnection) -> None:
        """Tell the pool twice a second that this gateway lives, and look whether the cluster does."""
        while not self._closed.is_set():
            if (lost := cluster.check()) is not None:
                self._leases.end(lost=True)
                self._lost.set_result(lost)
                break
            self._beat()
            self._closed.wait(_BEAT)
        cluster.close()

    def _beat(self) -> None:
        if self._pool is None:
            self._find_pool()
            return
        try:
            state = ray.get(self._pool.beat.remote(self._id), timeout=2.0)
        except RayError as error:
            if isinstance(error, ActorDiedError):
                self._state = self._state | {"up": 0}
                self._find_pool()
            return
        if state["ending"]:  # its last gateway has gone before this one came
            self._find_pool()
        else:
            self._state, self._heard = state, time.monotonic()
            info = ModelInfo.of_told(state["model_info"])
            if info is not None and info != self.model_info:
                self.model_info = info
            self._leases.look()

    def _leave(self, seconds: float) -> dict[str, Any]:
        self._closed.set()
        self._leases.end(lost=False)
        self.line.close()
        told: dict[str, Any] = {}
        if self._pool is not None and not self._lost.done():
            try:
                ref = self._pool.leave.remote(self._id)
                told = ray.get(ref, timeout=seconds) if seconds else {}
            except RayError:
                told = {}
        return told

    def _take(self) -> Any:
        return self._pool.take.remote(self._id).future()

    def _give(self, host: ActorHost) -> None:
        reason = host.spoilt or ("crash" if host.has_ended else None)
        self._pool.give.remote(host.turn, reason)

    def _host(self, grant: dict[str, Any]) -> ActorHost:
        assert self._cluster is not None
        return ActorHost(self._cluster, grant, self.route, by_network=self._by_network)

    # For turns

    def look(self) -> None:
        """Look whether there are as many actors as requests."""
        if self._pool is not None:
            self._leases.look()

    def has_process(self, place: int) -> bool:
        """Whether there is an actor for this place."""
        return self._leases.has(place)

    def wait_for_process(self, place: int) -> None:
        """Wait until the place has an actor."""
        self._leases.wait_for(place)

    def process(self, place: int) -> ActorHost:
        """Return an actor that answers, for one turn that ends with `make_good`."""
        while not (host := self._leases.begin(place)).begin():
            self._leases.finish(place)
        return host

    def call_succeeded(self) -> None:
        """Do nothing: the pool counts."""

    def make_good(self, place: int) -> None:
        """End the turn."""
        self._leases.finish(place)


class RaySlot(HostSlot):
    """A turn on a thread that stands in for an actor, which is asked for when the turn is in line."""

    def __init__(self, line: Line, request: CurrentRequest, runner: RayRunner, **options: Any) -> None:
        super().__init__(line, request, runner, **options)
        self._ray = runner

    def _put(self, *args: Any) -> Any:
        job = super()._put(*args)
        self._ray.look()
        return job

    def release(self) -> None:
        """End the turn, and the wait for an actor."""
        super().release()
        self._ray.look()
