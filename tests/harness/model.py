"""Models that tell what became of them: of their calls, of their life."""

import os
import pickle
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Readable(Protocol):
    """What this model needs of an input."""

    def read(self) -> bytes: ...


@dataclass(frozen=True)
class Call:
    json_input: Any
    bodies: tuple[bytes, ...]
    input_hash: str


LIMIT = 20.0  # seconds


class RecordingModel:
    """Called as any model is, it sends the inputs back; `take` hands out the calls since the last `take`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def __call__(
        self, json_input: Any, inputs: Sequence[Readable], input_hash: str
    ) -> tuple[dict[str, Any], list[bytes]]:
        bodies = tuple(part.read() for part in inputs)
        with self._lock:
            self._calls.append(Call(json_input, bodies, input_hash))
        return reply_json(len(bodies)), list(bodies)

    def take(self) -> list[Call]:
        with self._lock:
            calls, self._calls = self._calls, []
        return calls


class Records:
    """The calls of `recorded`, which runs in processes that are started with the variable RECORDS set to
    `file`."""

    def __init__(self, file: Path) -> None:
        file.touch()
        self._file = file
        self._read = 0  # bytes

    def take(self) -> list[Call]:
        calls: list[Call] = []
        with self._file.open("rb") as file:
            file.seek(self._read)
            while True:
                try:
                    calls.append(pickle.load(file))
                except EOFError:
                    self._read = file.tell()
                    return calls


def recorded(
    json_input: Any, inputs: Sequence[Readable], input_hash: str
) -> tuple[dict[str, Any], list[bytes]]:
    """Does as `RecordingModel`, in a process of its own."""
    bodies = tuple(part.read() for part in inputs)
    with open(os.environ["RECORDS"], "ab") as file:
        pickle.dump(Call(json_input, bodies, input_hash), file)
    return reply_json(len(bodies)), list(bodies)


def reply_json(elements: int) -> dict[str, Any]:
    """What the model answers to a call with so many inputs."""
    return {"protocol_version": "1.0", "parts": [{"binary_type": "heatmap"} for _ in range(elements)]}


def empty(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
    return {"parts": []}


class Staged:
    """A model whose setup waits until it is let."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.go = threading.Event()
        self.fail = False
        self.ended = threading.Event()

    def setup(self) -> None:
        self.steps.append("setup")
        assert self.go.wait(LIMIT)
        if self.fail:
            raise ValueError("HIDDEN: no weights")

    def warm_up(self) -> None:
        self.steps.append("warm_up")

    def teardown(self) -> None:
        self.steps.append("teardown")

    def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        self.steps.append("call")
        return {}
