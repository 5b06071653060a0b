"""The model of every server here: it counts what arrived, so that the transport is what is measured.

A request's JSON may ask for an answer: `{"answer": "array"}` or `{"answer": "iterable"}` sends back
`BENCH_ANSWER_BYTES` bytes, which lie in memory since the start, so that they are nobody's peak.

Nothing here frees a large block: glibc would raise its thresholds by it, and each server would be tuned by
accident (the floor would read 2.5 GB/s, not 0.9).
"""

import io
import os
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

ANSWER_BYTES = int(os.environ.get("BENCH_ANSWER_BYTES", "0"))
STEP = 1 << 20
SMALL = 1 << 16


class Seekable(Protocol):
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


def size_of(file: Seekable) -> int:
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(0)
    return size


def answer_array() -> np.ndarray[Any, np.dtype[np.uint8]]:
    array = np.empty(ANSWER_BYTES, np.uint8)
    block = np.frombuffer(os.urandom(SMALL), np.uint8)
    for start in range(0, ANSWER_BYTES, SMALL):
        piece = array[start : start + SMALL]
        piece[:] = block[: len(piece)]
    return array


ARRAY = answer_array()
BLOCK = os.urandom(STEP) if ANSWER_BYTES else b""


def answer_pieces() -> Iterator[bytes]:
    left = ANSWER_BYTES
    while left > 0:
        yield BLOCK[:left]
        left -= STEP


def model(
    json_input: dict[str, Any], inputs: Sequence[Any], input_hash: str
) -> tuple[dict[str, Any], list[Any]]:
    counted = {"protocol_version": "1.0", "inputs": len(inputs), "bytes": sum(map(size_of, inputs))}
    wanted = json_input.get("answer")
    elements: list[Any] = []
    if wanted == "array":
        elements = [ARRAY]
    elif wanted == "iterable":
        elements = [answer_pieces()]
    return counted | {"parts": [{"binary_type": "heatmap"} for _ in elements]}, elements
