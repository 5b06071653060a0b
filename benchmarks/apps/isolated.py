"""The model of `benchmarks.isolation`: what it does is asked for in the request's JSON."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from inference_gateway import current_request

PAGE = 4096


def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """Reads each page of its inputs; returns a mask of so many bytes, in memory that is shared or not.

    `computes`: seconds in pure Python, `holds`: seconds in native code that does not let go of the lock.
    """
    read = sum(int(np.frombuffer(part.getbuffer(), np.uint8)[::PAGE].sum()) for part in inputs)
    end = time.monotonic() + json_input.get("computes", 0)
    total = 0
    while time.monotonic() < end:
        for number in range(100_000):
            total ^= number
    if "holds" in json_input:
        ctypes.PyDLL(None).sleep(json_input["holds"])
    size = json_input.get("mask", 0)
    if not size:
        return {"read": read, "pid": os.getpid()}
    mask = current_request().empty(size) if json_input["shared"] else np.empty(size, np.uint8)
    mask[:] = 1
    return {"read": read, "parts": [{"binary_type": "heatmap"}]}, [mask]
