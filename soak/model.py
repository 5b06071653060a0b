"""What the soaked server runs: it answers, raises, or takes its time, as the request asks."""

import ctypes
import gc
import sys
import time
from collections.abc import Sequence
from typing import Any


def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """`json_input["do"]` says what; all inputs are read."""
    read = [part.read() for part in inputs]
    if json_input["do"] == "raise":
        raise ValueError("as asked")
    if json_input["do"] == "wait":
        time.sleep(0.05)
    if json_input["do"] == "tidy up":
        tidy_up()
        return {"blocks": sys.getallocatedblocks()}
    parts = [{"binary_type": "heatmap"} for _ in read]
    elements: list[Any] = list(read)
    if json_input["do"] == "stream":
        elements = [iter([body[:100], body[100:]]) for body in read]
    return {"parts": parts}, elements


def tidy_up() -> None:
    """Leaves no garbage, and gives all memory back that is free: what stays is held by something."""
    gc.unfreeze()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
