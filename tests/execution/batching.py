"""A model that takes batches; what becomes of each request is asked for in its JSON."""

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from inference_gateway import Request, current_request
from tests.execution.callbacks import KINDS, payload


class Batched:
    """Returns, for each request, what it knows of it and of the batch."""

    def __init__(self) -> None:
        self.calls = 0
        self._files: list[Any] = []

    def setup(self) -> None:
        self.calls = 0

    def teardown(self) -> None:
        for file in self._files:
            file.close()

    def __call__(self, requests: list[Request]) -> Any:
        self.calls += 1
        done = {request.json_input.get("do"): request for request in requests}
        for name in ("leaves", "expires"):
            if name in done:
                wait_until_cancelled(done[name])
        if "holds" in done:
            hold(done["holds"].json_input)
        if "raises" in done:
            raise ValueError("as asked for")
        if "crashes" in done:
            os.kill(os.getpid(), signal.SIGKILL)
        if "large" in done and len(requests) > 1:
            raise RuntimeError("CUDA out of memory")
        if "too few" in done:
            requests = [request for request in requests if request is not done["too few"]]
        if "no list" in done:
            return {}
        if "hangs" in done:
            current = current_request()
            mark(done["hangs"].json_input, "begun")
            while not current.cancelled:
                time.sleep(0.01)
            mark(done["hangs"].json_input, "seen")
            while "deaf" in done["hangs"].json_input:
                time.sleep(0.01)
        return [self.result(request, len(requests)) for request in requests]

    def result(self, request: Request, size: int) -> Any:
        asked = request.json_input
        match asked.get("do"):
            case "fails":
                return ValueError("as asked for")
            case "misfit":
                return {"parts": [{"binary_type": "dicom"}]}, []
            case "element":
                element = KINDS[asked["kind"]](payload(asked["size"]), asked)
                return {"parts": [{"binary_type": "dicom"}]}, [element]
            case "empty":
                array = request.empty(asked["size"])
                array[:] = asked["size"] % 251
                return {"parts": [{"binary_type": "dicom"}]}, [array]
            case "fails later":
                return {"parts": [{"binary_type": "dicom"}]}, [fails_later()]
            case "files":
                return {"parts": [{"binary_type": "dicom"}] * asked["count"]}, self.files(asked["count"])
        return {
            "size": size,
            "calls": self.calls,
            "pid": os.getpid(),
            "number": asked.get("number"),
            "hash": request.input_hash,
            "read": [part.read().hex() for part in request.inputs],
            "id": request.request_id,
            "batch": current_request().request_id,
            "remaining": request.remaining(),
            "cancelled": request.cancelled,
            "route": request.route,
        }

    def files(self, count: int) -> list[Any]:
        found = [tempfile.TemporaryFile() for _ in range(count)]  # noqa: SIM115 - open until teardown
        for number, file in enumerate(found):
            file.write(bytes([number]))
        self._files += found
        return found


def fails_later() -> Any:
    yield b"something"
    raise ValueError("as asked for")


def wait_until_cancelled(request: Request) -> None:
    mark(request.json_input, "begun")
    while not request.cancelled:
        time.sleep(0.01)


def hold(asked: Any) -> None:
    mark(asked, "begun")
    while not (Path(asked["folder"]) / "go").exists():
        time.sleep(0.01)


def mark(asked: Any, name: str) -> None:
    if "folder" in asked:
        (Path(asked["folder"]) / name).touch()


async def asynchronous(requests: list[Request]) -> list[Any]:
    """Waits until nobody waits any more, or returns at once."""
    if requests[0].json_input.get("do") == "hangs":
        mark(requests[0].json_input, "begun")
        try:
            await asyncio.sleep(1000)
        finally:
            mark(requests[0].json_input, "seen")
    return [{"size": len(requests), "batch": current_request().request_id} for _ in requests]


def not_for_batches(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    return json_input
