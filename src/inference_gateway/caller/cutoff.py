"""A limit on the wait for the head of an answer.

The time limit of a socket begins anew with every byte. Interim answers (RFC 9110 §15.2), or a header that
comes letter by letter, could go on for ever within it.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Protocol


class Descriptor(Protocol):
    """A socket, or what stands for one."""

    def fileno(self) -> int:
        """Return the descriptor's number."""
        ...


class Cutoff:
    """Shuts a connection down when its time is up: that wakes whoever reads from it.

    `passed`: whether it has. One thread while it runs.
    """

    def __init__(self) -> None:
        self.passed = False
        self._timer: threading.Timer | None = None

    def start(self, seconds: float, connection: Descriptor | None) -> None:
        """Begin to count, anew where it did; without a connection there is nothing to shut down."""
        self.stop()
        if connection is not None:
            self._timer = threading.Timer(seconds, self._shut_down, (connection,))
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """Count no longer: what was waited for has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _shut_down(self, connection: Descriptor) -> None:
        self.passed = True
        # A descriptor of our own: the connection's may be closed meanwhile, and its number taken by another.
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)
