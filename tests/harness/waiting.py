"""Waiting for what a thread, a server or another process does, and nobody tells."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT = 60.0  # seconds
_PAUSE = 0.01  # between two looks the processor is for what is waited for


def until(look: Callable[[], T], what: str = "what is waited for", limit: float = LIMIT) -> T:
    """Look until there is something to see, and return it."""
    end = time.monotonic() + limit
    while not (seen := look()):
        assert time.monotonic() < end, f"{what} does not come about"
        threading.Event().wait(_PAUSE)
    return seen
