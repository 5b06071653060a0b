"""The models of the faulty servers: `inference-gateway serve tests.faults.model:NAME`.

Some faults are made in the server itself, where its environment asks for them: `FAULTS_FAILING_CALL`, such as
`pwrite:5`; `FAULTS_HANGING_CALL`, such as `pwrite`; `FAULTS_PROBE_SECONDS`.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inference_gateway.app import endpoint
from inference_gateway.serving import protocol

BESIDE = Path(os.environ.get("GATEWAY_SPOOL_DIR", ".")).parent
"""The folder of the test."""


def sizes(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """Reads everything and says how much it was."""
    return {"sizes": [len(part.read()) for part in inputs]}


def held(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """Says that it has begun, and waits until it is let go: both by pipes in the folder of the test."""
    (BESIDE / "begun").write_text("x")
    (BESIDE / "go").read_text()
    return sizes(json_input, inputs, input_hash)


def large(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """An answer that no socket buffer holds, without a length."""

    def blocks() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 20)

    return {"parts": [{"binary_type": "heatmap"}]}, [blocks()]


class Failing:
    """A system call that fails once: when the number in the file `countdown` has come down to one."""

    def __init__(self, call: Any, error: int) -> None:
        self._call = call
        self._error = error
        self._countdown = BESIDE / "countdown"

    def __call__(self, *args: Any) -> Any:
        left = int(self._countdown.read_text()) if self._countdown.exists() else 0
        if left:
            self._countdown.write_text(str(left - 1))
        if left == 1:
            raise OSError(self._error, os.strerror(self._error))
        return self._call(*args)


class Hanging:
    """A system call that hangs as long as somebody else has locked the file `disk`."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._lock = BESIDE / "disk"
        self._lock.touch()

    def __call__(self, *args: Any) -> Any:
        with self._lock.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
        return self._call(*args)


if name := os.environ.get("FAULTS_HANGING_CALL"):
    setattr(os, name, Hanging(getattr(os, name)))
    endpoint._DISK_SECONDS = 0.5

if asked := os.environ.get("FAULTS_FAILING_CALL"):
    name, _, number = asked.partition(":")
    setattr(os, name, Failing(getattr(os, name), int(number)))

if seconds := os.environ.get("FAULTS_PROBE_SECONDS"):
    # A client that is gone without a word is noticed after two of these, not after minutes.
    every = int(seconds)
    protocol._KEEP_ALIVE_PROBES = (("TCP_KEEPIDLE", every), ("TCP_KEEPINTVL", every), ("TCP_KEEPCNT", 2))
