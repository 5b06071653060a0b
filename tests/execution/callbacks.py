"""Callbacks for every kind of runner: what they do is asked for in the request's JSON."""

import asyncio
import gzip
import io
import logging
import os
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from inference_gateway import ModelInfo, current_request
from inference_gateway.errors import Unavailable
from inference_gateway.tagged_logger import TaggedLogger

log = logging.getLogger("my_model")


def payload(size: int) -> bytes:
    """What each element of `elements` has for its bytes."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


class Asked:
    """Has a step for each thing that a test wants to see; `steps` are those of its life, up to now."""

    model_info = ModelInfo("Asked", "1.0", weights=__file__)

    def __init__(self) -> None:
        self.steps: list[str] = []

    def setup(self) -> None:
        self._step("setup")

    def warm_up(self) -> None:
        self._step("warm_up")

    def teardown(self) -> None:
        self._step("teardown")

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if "MARKS" in os.environ:
            (Path(os.environ["MARKS"]) / name).write_text(str(os.getpid()))

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        return getattr(self, json_input["do"])(json_input, inputs, input_hash)

    def told(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        """What it knows: its arguments, its request, its life."""
        request = current_request()
        log.info("a line of the model")
        return {
            "json": json_input,
            "hash": input_hash,
            "sizes": [part.size for part in inputs],
            "types": [part.content_type for part in inputs],
            "request": [request.request_id, request.route, request.cancelled, request.device],
            "remaining": request.remaining(),
            "steps": self.steps,
            "pid": os.getpid(),
        }

    def logs(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        """Lines of every kind, from a logger whose level is its own."""
        own = logging.getLogger("my_model.own")
        own.setLevel(logging.DEBUG)
        own.debug("below %s", "the root's level", extra={"shape": [1, 2], "kind": "extra"})
        own.info("with a stack", stack_info=True)
        try:
            raise ValueError("as asked for")
        except ValueError:
            own.exception("with a traceback")
        tagged = TaggedLogger(own)
        tagged.add_tags({"tag": {"b": 1, "a": "100%"}})
        tagged.info("with tags: %d", 3)
        own.info("the last")
        return {}

    def read(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        """The inputs, by each way to read them."""
        found = []
        for part in inputs:
            whole = part.read()
            part.seek(0)
            halves = part.read(len(whole) // 2) + part.read()
            buffer = bytearray(len(whole))
            part.seek(0)
            part.readinto(buffer)
            found += [whole, halves, bytes(buffer), bytes(part.getbuffer())]
        return {"parts": [{"binary_type": "dicom"}] * len(found)}, found

    def element(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        """One element, of the kind that the JSON names."""
        body = payload(json_input["size"])
        return {"parts": [{"binary_type": "dicom"}]}, [KINDS[json_input["kind"]](body, json_input)]

    def raises(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        raise {
            "ValueError": ValueError("as asked for"),
            "StopIteration": StopIteration("as asked for"),
            "SystemExit": SystemExit("as asked for"),
            "KeyboardInterrupt": KeyboardInterrupt("as asked for"),
            "Unavailable": Unavailable("as asked for"),
        }[json_input["what"]]

    def wrong(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        return {"parts": [{"binary_type": "dicom"}]}, []

    def stream(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        """A generator that leaves a mark at its end; it fails, hangs or has no end where asked to."""

        def blocks() -> Iterator[bytes]:
            try:
                yield bytes(1000)
                if json_input.get("fails"):
                    raise ValueError("as asked for")
                while json_input.get("hangs") and not current_request().cancelled:
                    time.sleep(0.01)
                while json_input.get("endless"):
                    yield bytes(1 << 20)
                yield bytes(1000)
            finally:
                Path(json_input["mark"]).write_text(current_request().request_id)

        return {"parts": [{"binary_type": "dicom"}]}, [blocks()]

    def waits(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        """Works until nobody waits any more; leaves a mark when it begins, and one when it sees it."""
        mark = Path(json_input["mark"])
        mark.touch()
        while not current_request().cancelled:
            time.sleep(0.01)
        mark.with_suffix(".seen").touch()
        current_request().raise_if_cancelled()


async def asynchronous(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Reads an input; or waits for ever, and leaves marks."""
    if "mark" not in json_input:
        await asyncio.sleep(0.01)
        return {"request": current_request().request_id, "read": [len(part.read()) for part in inputs]}
    mark = Path(json_input["mark"])
    mark.touch()  # noqa: ASYNC240 - of a test
    try:
        await asyncio.sleep(1000)
    finally:
        mark.with_suffix(".seen").touch()


def _file(body: bytes, json_input: Any) -> Path:
    path = Path(json_input["folder"]) / "element"
    path.write_bytes(body)
    return path


_kept: list[Any] = []


def _opened(file: Any) -> Any:
    """A file that stays the model's: it closes it with its next one."""
    while _kept:
        _kept.pop().close()
    _kept.append(file)
    return file


def _zipped(body: bytes, json_input: Any) -> Any:
    path = Path(json_input["folder"]) / "element.gz"
    with gzip.open(path, "wb") as file:
        file.write(body)
    return _opened(gzip.open(path, "rb"))


class _Reader:
    """A file that cannot seek."""

    def __init__(self, body: bytes) -> None:
        self._file = io.BytesIO(body)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


def _shared(body: bytes, json_input: Any) -> Any:
    array = current_request().empty(len(body), np.uint8)
    array[:] = np.frombuffer(body, np.uint8)
    return array


def _halves(body: bytes) -> list[bytes]:
    return [body[: len(body) // 2], body[len(body) // 2 :]]


KINDS: dict[str, Any] = {
    "bytes": lambda body, _: body,
    "bytearray": lambda body, _: bytearray(body),
    "memoryview": lambda body, _: memoryview(body),
    "array.array": lambda body, _: array("B", body),
    "ndarray": lambda body, _: np.frombuffer(body, np.uint8),
    "big endian": lambda body, _: np.frombuffer(body, ">u2"),
    "strided": lambda body, _: np.repeat(np.frombuffer(body, np.uint8), 2)[::2],
    "fortran": lambda body, _: np.asfortranarray(np.frombuffer(body, np.uint8).reshape(2, -1)),
    "empty()": _shared,
    "slice of empty()": lambda body, asked: _shared(b"x" + body, asked)[1:],
    "path": _file,
    "file": lambda body, asked: _opened(_file(body, asked).open("rb")),
    "zipped file": _zipped,
    "BytesIO": lambda body, _: io.BytesIO(body),
    "reader": lambda body, _: _Reader(body),
    "list": lambda body, _: _halves(body),
    "generator": lambda body, _: (half for half in _halves(body)),
    "iterator of arrays": lambda body, _: map(np.frombuffer, _halves(body), [np.uint8] * 2),
}

assert sys.byteorder == "little"
