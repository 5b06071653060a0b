"""A model that ends badly, in the way that the request's JSON asks for, and keeps a clock of each call.

The clock of a call is a file of two numbers in the folder of the variable CLOCKS: when it began, and when it
was last seen to run, both by a clock that all processes share.
"""

import ctypes
import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from inference_gateway import current_request


class Clock:
    """Of one call. `mark` says that it has come so far, and which process it is."""

    def __init__(self) -> None:
        self._name = current_request().request_id
        self._folder = Path(os.environ["CLOCKS"])
        self._file = os.open(self._folder / self._name, os.O_CREAT | os.O_WRONLY, 0o600)
        self._begin = time.monotonic()
        self.beat()

    def beat(self) -> None:
        """It runs still."""
        os.pwrite(self._file, struct.pack("dd", self._begin, time.monotonic()), 0)

    def mark(self) -> None:
        new = self._folder / f"{self._name}.new"  # two calls may come so far at once
        new.write_text(str(os.getpid()))
        new.rename(self._folder / "pid")

    def end(self) -> None:
        self.beat()
        os.close(self._file)


def model(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Does as asked; the default is to give back what came."""
    clock = Clock()
    do = json_input.get("do")
    try:
        if do is not None:
            return _act(do, json_input, inputs, clock)
        return {"parts": [{"binary_type": "dicom"} for _ in inputs]}, [part.read() for part in inputs]
    finally:
        clock.end()


def _act(do: str, json_input: Any, inputs: list[Any], clock: Clock) -> Any:
    match do:
        case "hang":
            while True:
                clock.beat()
        case "segmentation fault":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)
        case "memory":
            np.ones(8 << 30, np.uint8)
        case "reading":
            clock.mark()
            while True:
                clock.beat()
                for part in inputs:
                    part.seek(0)
                    part.read(1 << 16)
        case "computing":
            clock.mark()
            while True:
                clock.beat()
        case "array":
            clock.mark()
            array = current_request().empty(json_input["size"])
            array[:] = 7
            return {"parts": [{"binary_type": "heatmap"}]}, [array]
        case "blocks":
            clock.mark()
            return {"parts": [{"binary_type": "heatmap"}]}, [_blocks()]
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
    return {}


def _blocks() -> Iterator[bytes]:
    while True:
        yield bytes(1 << 16)
