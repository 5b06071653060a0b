"""The gateway's side of one turn at an actor: how a model there is asked, and how files cross."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from inference_gateway.errors import ModelCrashed, ModelFailed, RequestError, Unavailable
from inference_gateway.execution.actors.actor import PIECE
from inference_gateway.execution.actors.cluster import ClusterConnection
from inference_gateway.execution.process.asking import Asking
from inference_gateway.execution.process.frames import Frame, Piece
from inference_gateway.execution.process.log_lines import write

_AHEAD = 3  # pieces of a file on their way at once
_PATIENCE = 5.0  # seconds for an actor that has no call to say that it lives
_LOOK_SECONDS = 0.5  # between two looks whether the cluster is still there


class ActorHost(Asking):
    """One turn at an actor. `grant`: what the pool gave. `by_store`: files never cross by descriptor."""

    def __init__(
        self, cluster: ClusterConnection, grant: dict[str, Any], route: str, *, by_store: bool
    ) -> None:
        super().__init__()
        self.turn: str = grant["turn"]
        self.has_ended = False
        self._killed = False
        self._actor = grant["actor"]
        self._born: str = grant["born"]
        self._cluster = cluster
        self._route = route
        self._by_store = by_store
        self._is_over = False
        self._listening = False

    def answers(self) -> bool:
        """Whether the actor is there, in the life that was given: who knows before the call loses nothing."""
        try:
            if self._get(self._actor.life.remote(), _PATIENCE) == self._born:
                return True
        except (RequestError, TimeoutError):
            pass
        self.has_ended = True
        return False

    def cancel(self, key: str) -> None:
        """Tell the model that nobody waits for the result of the request of this key. Does not wait."""
        with suppress(RayError):
            self._actor.cancel.remote(key)

    def release(self, seconds: float | None = None) -> None:
        """Have the actor let go of what it keeps of the turn. On the turn's thread.

        A generator's own end that takes longer than `seconds` spoils the actor.
        """
        try:
            if self._is_held and not self.has_ended and self.spoilt is None:
                self._is_held = False
                self._get(self._actor.ask.remote(self.turn, {"kind": "release"}, b"", (0, [])), seconds)
        except (RequestError, TimeoutError):
            self.spoilt = self.spoilt or "crash"
        finally:
            self._is_over = True
            with suppress(RayError):
                self._actor.end.remote(self.turn)

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

    def _ask(self, asked: Piece) -> Frame:
        try:
            return self._asked(asked)
        except RayTaskError as error:  # the actor's side of it failed, such as its disk
            self.spoilt = self.spoilt or "crash"
            raise ModelFailed from error

    def _asked(self, asked: Piece) -> Frame:
        process = self._process()
        self._listen()
        at: tuple[int, list[int]] | None = (os.getpid(), list(asked.descriptors))
        if process is None and asked.descriptors:
            for index, descriptor in enumerate(asked.descriptors):
                self._feed(index, descriptor)
            at = None
        payload = b"".join(asked.payload)
        ref = self._actor.ask.remote(self.turn, {**asked.head, "here": process is not None}, payload, at)
        head, found, files = self._get(ref)
        descriptors: list[int] = []
        frame = Frame(head, memoryview(found).cast("B"), descriptors)
        try:
            for index, (number, size) in enumerate(files):
                descriptors.append(
                    self._fetched(index, size) if process is None else self._opened(process, number)
                )
        except BaseException:
            frame.close()
            raise
        return frame

    def _process(self) -> int | None:
        """Return the actor's process, where files cross by descriptor."""
        if self._by_store:
            return None
        try:
            return self._cluster.process_of(self._actor, self._born)
        except RayError as error:
            raise self._crash(error) from None

    def _opened(self, process: int, number: int) -> int:
        try:
            return os.open(f"/proc/{process}/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._crash(error) from None

    # Files by their bytes

    def _feed(self, index: int, descriptor: int) -> None:
        """Send a file's bytes, a few pieces ahead of the actor."""
        if not self._cluster.has_room():
            raise Unavailable("the object store of the Ray node has no room: try again later")
        under_way: deque[Any] = deque()
        for piece in _pieces(descriptor):
            if len(under_way) == _AHEAD:
                self._get(under_way.popleft())
            under_way.append(self._actor.feed.remote(self.turn, index, ray.put(piece)))
        for ref in under_way:
            self._get(ref)

    def _fetched(self, index: int, size: int) -> int:
        """Receive a file's bytes into memory that the gateway has of its own."""
        descriptor = os.memfd_create("result", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            under_way: deque[Any] = deque()
            for offset in range(0, size, PIECE):
                if len(under_way) == _AHEAD:
                    self._keep(descriptor, under_way.popleft())
                under_way.append(self._actor.piece.remote(self.turn, index, offset))
            while under_way:
                self._keep(descriptor, under_way.popleft())
            if os.fstat(descriptor).st_size != size:
                raise ModelFailed("a file became shorter while it was sent")
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)  # as what it stands for
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _keep(self, descriptor: int, ref: Any) -> None:
        view = memoryview(self._get(ref))
        while view:
            view = view[os.write(descriptor, view) :]

    # Waiting

    def _get(self, ref: Any, seconds: float | None = None) -> Any:
        """Wait for what an actor gives. Raises `ModelCrashed`, `TimeoutError`, `Unavailable`."""
        waited = 0.0
        while True:
            try:
                return ray.get(ref, timeout=_LOOK_SECONDS)
            except GetTimeoutError:
                waited += _LOOK_SECONDS
                if self._cluster.lost is not None:
                    self.has_ended = True
                    raise Unavailable("the Ray node of the gateway is gone: try again later") from None
                if seconds is not None and waited >= seconds:
                    raise TimeoutError from None
            except RayTaskError:
                raise
            except RayError as error:
                raise self._crash(error) from None

    def _crash(self, error: Exception) -> ModelCrashed:
        self.has_ended = True
        self.spoilt = self.spoilt or "crash"
        if not isinstance(error, RayActorError):
            return ModelCrashed(f"its answer is lost ({type(error).__name__})")
        return ModelCrashed("the Ray actor ended, or its node did: Ray's log of that node says how")

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
        """On a thread of Ray's: write lines, and wait for the next."""
        if future.cancelled() or future.exception() is not None:
            return  # the actor has ended
        lines, is_over = future.result()
        for line in lines:
            with suppress(Exception):  # a line that cannot be written costs nobody anything
                write(json.loads(line), route=self._route)
        if not is_over and not self._cluster.lost:
            self._ask_for_lines()


def _pieces(descriptor: int) -> Iterator[Any]:
    """Read a file from its start; each array is good until the next one is asked for."""
    buffer = np.empty(PIECE, np.uint8)
    offset = 0
    while count := os.preadv(descriptor, [buffer.data], offset):
        yield buffer[:count]
        offset += count
