"""What runs in a Ray actor: one model, which serves one turn after the other, whichever gateway has it.

The methods of the actor's default group run one at a time, so that a slot is a process here, too. Those of
the group `control` run beside a turn: cancellations, log lines, and the call that ends only with the actor.
What is said of a request is said over the turn's link, and never lies in Ray's object store.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import tempfile
import threading
import time
import uuid
import warnings
from collections import deque
from contextlib import closing
from pathlib import Path
from typing import Any

import ray
from ray.util import get_node_ip_address

from inference_gateway.execution.actors.link import Door, Link
from inference_gateway.execution.process.arena import Arenas
from inference_gateway.execution.process.frames import Frame, PeerGone
from inference_gateway.execution.process.inside import Inside
from inference_gateway.execution.process.log_lines import forward

CONTROL = {"control": 16}  # the groups of an actor, and how many of their calls run at once

_KEPT_LINES = 1000
_AT_ONCE = 64 << 10  # bytes of log lines in one answer: Ray sends so much without its object store
_LINES_SECONDS = 20.0  # for a line to come, before the gateway asks again
_COME_SECONDS = 10.0  # for a gateway to come that has asked for a turn: it may have ended


class ModelActor:
    """One model. `setup`: what the gateway tells of it. `ports`: where it may listen, the first and the last.

    `born` tells one life of the actor from the next.
    """

    def __init__(self, setup: dict[str, Any], ports: tuple[int, int]) -> None:
        self._setup = setup
        self._born = uuid.uuid4().hex
        folder = Path(setup["spool_dir"])
        folder = folder if folder.is_dir() else Path(tempfile.gettempdir())
        self._door = Door(get_node_ip_address(), ports, folder)
        self._inside: Inside | None = None
        self._seconds = 0.0
        self._model_info: dict[str, Any] | None = None
        self._over: deque[str] = deque(maxlen=100)  # turns
        self._lines: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self._changed = threading.Condition()
        forward(self._put_line, setup["log_levels"])
        logging.raiseExceptions = False
        if not sys.warnoptions:
            warnings.simplefilter("ignore")

    # The model's life

    def set_up(self) -> dict[str, Any]:
        """Set the model up, once; return which life of the actor this is, or what went wrong."""
        if self._inside is None:
            begun = time.monotonic()
            arenas = Arenas(self._setup["memory"], kept=0)
            inside = Inside(self._setup, arenas, by_name=False)
            head = inside.set_up().head
            if "error" in head:
                return head
            self._inside, self._seconds = inside, time.monotonic() - begun
            self._model_info = head["model_info"]
        return {
            "born": self._born,
            "seconds": self._seconds,
            "pid": os.getpid(),
            "model_info": self._model_info,
            "address": tuple(self._door.address),
        }

    def tear_down(self) -> dict[str, Any]:
        """Tear the model down; return what went wrong, if anything."""
        assert self._inside is not None
        return self._inside.answer(Frame({"kind": "teardown"}, memoryview(b""), [])).head

    @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator]
    def life(self) -> str:
        """Return which life of the actor this is."""
        return self._born

    @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator]
    def live(self) -> None:
        """Return never: who waits for it hears when the actor ends."""
        threading.Event().wait()

    # A turn

    def serve(self, turn: str, word: bytes, answer: bytes) -> None:
        """Answer the gateway that comes with this word, until it goes. Nobody comes to a new life."""
        inside = self._inside
        if inside is None:
            return
        try:
            link = self._door.let_in(word, answer, _COME_SECONDS)
        except TimeoutError:
            return
        try:
            with closing(link):
                _converse(link, inside)
        finally:
            inside.release()
            inside.sent()
            with self._changed:
                self._over.append(turn)
                self._changed.notify_all()

    # Beside a turn

    @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator]
    def cancel(self, key: str) -> None:
        """Nobody waits for the result of the request of this key any more."""
        if self._inside is not None:
            self._inside.cancel(key)

    @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator]
    def tell_stacks(self) -> None:
        """Write to standard error what all threads are doing."""
        faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)

    @ray.method(concurrency_group="control")  # type: ignore[untyped-decorator]
    def lines(self, turn: str) -> tuple[bytes, bool]:
        """Wait for log lines; return some of their bytes, and whether the turn is over and has no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or turn in self._over, _LINES_SECONDS)
            found = b""
            while self._lines and len(found) + len(self._lines[0]) <= _AT_ONCE:
                found += self._lines.popleft()
            return found, turn in self._over and not self._lines

    def _put_line(self, data: bytes) -> None:
        data += b"\n"
        with self._changed:
            self._lines.extend(data[at : at + _AT_ONCE] for at in range(0, len(data), _AT_ONCE))
            self._changed.notify_all()


def _converse(link: Link, inside: Inside) -> None:
    """Answer frame after frame, until the gateway goes. Raises `OSError` where a study has no room."""
    while True:
        try:
            frame = link.receive()
        except PeerGone:
            return
        try:
            reply = inside.answer(frame)
        finally:
            frame.close()
        try:
            link.send(reply)
        except PeerGone:
            return
        finally:
            del frame, reply  # and nothing of the call is left on the stack
            inside.sent()
