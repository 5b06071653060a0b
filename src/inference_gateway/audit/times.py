"""The time of an audit line: UTC, to the microsecond (RFC 3339)."""

from __future__ import annotations

import time
from datetime import UTC, datetime

now = time.time


def in_words(seconds: float) -> str:
    """Return a time of `time.time()` as a line has it, such as 2026-11-26T12:00:00.000000Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
