"""The gateway's questions to one model process, and its answers: one at a time, each with its number."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from inference_gateway.execution.process.frames import (
    Begun,
    Frame,
    PeerGone,
    begin,
    complete,
    send,
)


class WrongAnswer(Exception):
    """What came is no answer to what was asked last."""


class Dialogue:
    """Questions and answers over `sock`, a stream socket, which it closes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._asked = 0  # the number of the last question, which its answer has
        self._come: Begun | Frame | None = None  # of that answer, so far

    def fileno(self) -> int:
        """Return the descriptor that can be read when an answer begins to come."""
        return self._sock.fileno()

    def ask(
        self,
        head: dict[str, Any],
        payload: Sequence[bytes | memoryview] = (),
        descriptors: Sequence[int] = (),
        *,
        wait: bool = True,
    ) -> None:
        """Send a question; without `wait` one that the socket's buffer holds.

        What cannot be sent has no answer, and `answer` says so.
        """
        self._be_patient(None if wait else 0.0)
        self._asked += 1
        try:
            send(self._sock, head | {"asked": self._asked}, payload, descriptors)
        except PeerGone:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def look(self) -> Frame | None:
        """Take what has come of the answer, without waiting; return it where it is whole.

        `answer` still gives it.
        """
        self._be_patient(0.0)
        try:
            self._come = begin(self._sock)
            if not self._come.is_whole:
                return None
            self._come = frame = complete(self._sock, self._come)
        except PeerGone:  # or nothing has come
            return None
        return frame if frame.head.get("asked") == self._asked else None

    def answer(self, seconds: float | None = None) -> Frame:
        """Return the answer; waits for what has not come of it, no longer than `seconds` for each piece.

        Raises `PeerGone`, `TimeoutError`, `WrongAnswer`.
        """
        frame, self._come = self._come, None
        if not isinstance(frame, Frame):
            self._be_patient(seconds)
            try:
                frame = complete(self._sock, frame or begin(self._sock))
            except PeerGone as gone:
                if isinstance(gone.__cause__, TimeoutError):
                    raise TimeoutError from None
                raise
        if frame.head.get("asked") != self._asked:
            frame.close()
            raise WrongAnswer
        return frame

    def _be_patient(self, seconds: float | None) -> None:
        """Have the socket wait so long from now on; None for ever."""
        if self._sock.gettimeout() != seconds:
            with suppress(OSError):  # it is closed, and says so when it is used
                self._sock.settimeout(seconds)

    def close(self) -> None:
        """End it. What waits for an answer on another thread notices it by the end of the process."""
        self._sock.close()
