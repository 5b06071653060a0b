"""What runs in a Ray actor: one model, which answers one call after the other, whichever gateway asks.

The methods of the actor's default group run one at a time, so that a slot is a process here, too. Those of
the group `control` run beside a call: cancellations, log lines, and the call that ends only with the actor.

A file crosses by its descriptor where gateway and actor see each other's in /proc (proc(5), /proc/PID/fd),
else by its bytes, in pieces through Ray's object store, which never has more of a request than a few of
them.
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
from pathlib import Path
from typing import Any

import numpy as np
import ray

from inference_gateway.execution.process.arena import Arenas
from inference_gateway.execution.process.frames import Frame, Piece
from inference_gateway.execution.process.inside import Inside
from inference_gateway.execution.process.log_lines import forward
from inference_gateway.payload.spool import unlinked_file, write_at

PIECE = 8 << 20  # bytes of a file in one object of the store
CONTROL = {"control": 16}  # the groups of an actor, and how many of their calls run at once

_KEPT_LINES = 1000
_AT_ONCE = 64 << 10  # bytes of log lines in one answer: Ray sends so much without its object store
_LINES_SECONDS = 20.0  # for a line to come, before the gateway asks again
_SMALL = 64 << 10  # bytes; more is worth an array, which is read where it lies


class ModelActor:
    """One model. `setup`: what the gateway tells of it. `born` tells one life of the actor from the next."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._setup = setup
        self._born = uuid.uuid4().hex
        self._inside: Inside | None = None
        self._seconds = 0.0
        self._model_info: dict[str, Any] | None = None
        self._turn = ""  # whose call goes on, or has its answer here still
        self._over: deque[str] = deque(maxlen=100)  # turns
        self._fed: list[int] = []  # files whose bytes have come
        self._reply: Piece | None = None
        self._lines: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self._changed = threading.Condition()
        self._probe = os.memfd_create("probe", os.MFD_CLOEXEC)
        forward(self._put_line, setup["log_levels"])
        logging.raiseExceptions = False
        if not sys.warnoptions:
            warnings.simplefilter("ignore")

    # The model's life

    def set_up(self) -> dict[str, Any]:
        """Set the model up, once; return which life of the actor this is, or what went wrong."""
        if self._inside is None:
            begun = time.monotonic()
            inside = Inside(self._setup, Arenas(self._setup["memory"], kept=0))
            head = inside.set_up().head
            if "error" in head:
                return head
            self._inside, self._seconds = inside, time.monotonic() - begun
            self._model_info = head["model_info"]
        told = {"seconds": self._seconds, "pid": os.getpid(), "model_info": self._model_info}
        return {"born": self._born, **told}

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

    def sees(self, pid: int, number: int, file: tuple[int, int]) -> tuple[int, int, tuple[int, int]]:
        """Return a descriptor of its own for the gateway to look at, where it sees the gateway's.

        Raises `OSError` where it does not. `file`: device and inode of what is there.
        """
        if file_at(pid, number) != file:
            raise OSError("another process")
        return os.getpid(), self._probe, file_at(os.getpid(), self._probe)

    def feed(self, turn: str, index: int, piece: Any) -> None:
        """Take the next bytes of file number `index`."""
        self._enter(turn)
        while len(self._fed) <= index:
            folder = Path(self._setup["spool_dir"])
            self._fed.append(unlinked_file(folder if folder.is_dir() else Path(tempfile.gettempdir())))
        descriptor = self._fed[index]
        write_at(descriptor, memoryview(piece), os.fstat(descriptor).st_size)

    def ask(
        self, turn: str, head: dict[str, Any], payload: Any, at: tuple[int, list[int]] | None
    ) -> tuple[dict[str, Any], Any, list[tuple[int, int]]]:
        """Answer a frame. `at`: the gateway's process and its descriptors; None: their bytes have come.

        Returns head and payload, and for each of its own descriptors its number and the file's size.
        """
        self._enter(turn)
        assert self._inside is not None
        self._inside.sent()  # the gateway has all of the answer before
        self._reply = None
        if at is None:
            descriptors, self._fed = self._fed, []
        else:
            descriptors = [os.open(f"/proc/{at[0]}/fd/{each}", os.O_RDONLY | os.O_CLOEXEC) for each in at[1]]
        frame = Frame(head, memoryview(payload).cast("B"), descriptors)
        try:
            self._reply = reply = self._inside.answer(frame)
        finally:
            frame.close()
        found: Any = b"".join(reply.payload)
        if len(found) > _SMALL:
            found = np.frombuffer(found, np.uint8)
        return reply.head, found, [(each, os.fstat(each).st_size) for each in reply.descriptors]

    def piece(self, turn: str, index: int, offset: int) -> Any:
        """Return bytes of the answer's file number `index`."""
        assert turn == self._turn
        assert self._reply is not None
        buffer = np.empty(PIECE, np.uint8)
        count = os.preadv(self._reply.descriptors[index], [buffer.data], offset)
        return buffer[:count]

    def end(self, turn: str) -> None:
        """Let go of what is kept of a turn."""
        if turn == self._turn:
            self._enter("")

    def _enter(self, turn: str) -> None:
        """Begin a turn, after the end of another: its gateway may have died before it said so."""
        if turn == self._turn:
            return
        if self._inside is not None:
            self._inside.release()
            self._inside.sent()
        for descriptor in self._fed:
            os.close(descriptor)
        self._fed, self._reply = [], None
        with self._changed:
            self._over.append(self._turn)
            self._turn = turn
            self._changed.notify_all()

    # Beside a call

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
    def lines(self, turn: str) -> tuple[list[bytes], bool]:
        """Wait for log lines; return them, and whether the turn is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or turn in self._over, _LINES_SECONDS)
            found: list[bytes] = []
            while self._lines and (not found or sum(map(len, found)) + len(self._lines[0]) < _AT_ONCE):
                found.append(self._lines.popleft())
            return found, turn in self._over and not self._lines

    def _put_line(self, data: bytes) -> None:
        with self._changed:
            self._lines.append(data)
            self._changed.notify_all()


def file_at(pid: int, number: int) -> tuple[int, int]:
    """Return device and inode of a process's descriptor. Raises `OSError` where it cannot be seen."""
    status = os.stat(f"/proc/{pid}/fd/{number}")
    return status.st_dev, status.st_ino
