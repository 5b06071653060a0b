"""The gateway's side of one turn at an actor."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from contextlib import suppress
from typing import Any, NoReturn

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from inference_gateway.errors import ModelCrashed, ModelFailed, RequestError, Unavailable
from inference_gateway.execution.actors.cluster import ClusterConnection
from inference_gateway.execution.actors.link import WORD, Address, Link, knock, reach
from inference_gateway.execution.process.asking import Asking
from inference_gateway.execution.process.frames import DescriptorsLost, Frame, PeerGone, Piece
from inference_gateway.execution.process.log_lines import write

_PATIENCE = 5.0  # seconds for an actor that has no call to say that it lives
_CAUSE_SECONDS = 1.0  # for Ray to say how a turn has ended

logger = logging.getLogger("inference_gateway")


class ActorHost(Asking):
    """One turn at an actor. `grant`: what the pool gave. `by_network`: also where it is on this machine."""

    def __init__(
        self, cluster: ClusterConnection, grant: dict[str, Any], route: str, *, by_network: bool
    ) -> None:
        super().__init__()
        self.turn: str = grant["turn"]
        self.has_ended = False
        self._killed = False
        self._actor = grant["actor"]
        self._born: str = grant["born"]
        self._address = Address(*grant["address"])
        self._cluster = cluster
        self._route = route
        self._by_network = by_network
        self._link: Link | None = None
        self._end: Any = None  # of the turn, as Ray tells it
        self._listening = False
        self._rest = b""  # of a log line

    def begin(self) -> bool:
        """Begin the turn, or a further call of it; return whether the actor was there.

        Who knows that before the call loses nothing. Raises `Unavailable` where the actor lives and cannot be
        reached.
        """
        if self._link is not None:
            self.has_ended = self.has_ended or self._link.is_over
            return not self.has_ended
        word, answer = secrets.token_bytes(WORD), secrets.token_bytes(WORD)
        try:
            sock = reach(self._address, by_network=self._by_network)
            self._end = self._actor.serve.remote(self.turn, word, answer)
            self._link = knock(sock, self._address, word, answer)
        except (OSError, PeerGone, RayError) as error:
            return self._is_there(error)
        return True

    def _is_there(self, error: Exception) -> bool:
        """Return False where it has ended. Raises `Unavailable` else."""
        try:
            lives = ray.get(self._actor.life.remote(), timeout=_PATIENCE) == self._born
        except RayError:
            lives = False
        if not lives:
            self.has_ended = True
            return False
        logger.error(
            "an actor cannot be reached at %s, port %d (%s): gateways connect to actors at the ports of "
            "`RayModel(ports=...)`",
            self._address.host,
            self._address.port,
            type(error).__name__,
        )
        raise Unavailable("the model's node cannot be reached: try again later") from error

    def cancel(self, key: str) -> None:
        """Tell the model that nobody waits for the result of the request of this key. Does not wait."""
        with suppress(RayError):
            self._actor.cancel.remote(key)

    def release(self, seconds: float | None = None) -> None:
        """End the turn: the actor lets go of what it keeps of it. On the turn's thread.

        A generator's own end that takes longer than `seconds` spoils the actor.
        """
        try:
            if self._is_held and not self.has_ended and self.spoilt is None:
                self._is_held = False
                self._ask(Piece({"kind": "release"}), seconds)
        except (RequestError, TimeoutError):
            self.spoilt = self.spoilt or "crash"
        finally:
            if self._link is not None:
                self._link.close()

    def tell_stacks(self) -> None:
        """Have the actor write to standard error what its threads are doing. Does not wait."""
        with suppress(RayError):
            self._actor.tell_stacks.remote()

    def kill(self, number: int = 0) -> None:
        """End the actor's process, which Ray starts anew. `number`: of a signal; the first does it."""
        if not self._killed:
            self._killed = True
            threading.Thread(target=self._kill, daemon=True).start()  # it asks the cluster's head

    def _kill(self) -> None:
        with suppress(RayError):
            ray.kill(self._actor, no_restart=False)

    def hang_up(self) -> None:
        """Have the turn fail: the cluster is lost. From any thread."""
        if self._link is not None:
            self._link.hang_up()

    def _ask(self, asked: Piece, seconds: float | None = None) -> Frame:
        """Ask and wait for the answer. Raises `TimeoutError`, or what a request ends with."""
        assert self._link is not None
        try:
            self._link.send(asked)
            self._listen()
            return self._link.receive(seconds)
        except DescriptorsLost as lost:
            self.spoilt = self.spoilt or "crash"
            raise ModelCrashed(f"the gateway cannot read its answer: {lost}") from None
        except PeerGone:
            self.spoilt = self.spoilt or "crash"
            self._fail()
        except OSError as error:  # no memory for the answer
            self.spoilt = self.spoilt or "crash"
            raise ModelFailed from error

    def _fail(self) -> NoReturn:
        """Raise how the turn has ended."""
        if self._cluster.lost is not None:
            raise Unavailable("the Ray node of the gateway is gone: try again later") from None
        try:
            ray.get(self._end, timeout=_CAUSE_SECONDS)
        except RayTaskError as error:  # the actor's side of it failed, such as its disk
            raise ModelFailed from error
        except GetTimeoutError:
            pass
        except RayError:
            self.has_ended = True
        raise ModelCrashed("the Ray actor ended, or its node did: Ray's log of that node says how") from None

    # Log lines

    def _listen(self) -> None:
        """Write the log lines of the turn as they come."""
        if not self._listening:
            self._listening = True
            self._ask_for_lines()

    def _ask_for_lines(self) -> None:
        with suppress(RayError):
            self._actor.lines.remote(self.turn).future().add_done_callback(self._heard)

    def _heard(self, future: Any) -> None:
        """On a thread of Ray's: write lines as they come, and wait for the next."""
        if future.cancelled() or future.exception() is not None:
            return  # the actor has ended
        data, is_over = future.result()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(Exception):  # a line that cannot be written costs nobody anything
                write(json.loads(line), route=self._route)
        if not is_over and not self._cluster.lost:
            self._ask_for_lines()
