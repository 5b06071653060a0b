"""Models for Ray actors: what they do is asked for in the request's JSON."""

import os
import time
from pathlib import Path
from typing import Any

from inference_gateway import current_request


def sleeps(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
    """When it began and ended, by a clock that all processes of a machine share, and which process it was."""
    begin = time.monotonic()
    time.sleep(json_input["seconds"])
    return {"begin": begin, "end": time.monotonic(), "pid": os.getpid()}


def held(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
    """Leaves a mark with its process where the JSON names one, and works until somebody has taken it away."""
    mark = Path(json_input["mark"]) if "mark" in json_input else None
    if mark is not None:
        mark.with_suffix(".new").write_text(str(os.getpid()))
        mark.with_suffix(".new").rename(mark)
        while mark.exists():
            time.sleep(0.01)
    return {"pid": os.getpid()}


def masks(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Reads the whole study, and fills a mask with its last byte."""
    last = 0
    for part in inputs:
        while block := part.read(1 << 20):
            last = block[-1]
    mask = current_request().empty((json_input["mask"],))
    mask[:] = last
    if "mark" in json_input:
        Path(json_input["mark"]).touch()
    return {"parts": [{"binary_type": "heatmap"}]}, [mask]
