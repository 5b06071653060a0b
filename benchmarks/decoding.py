"""The decoder alone, without server or socket: how much hostile data slows it down."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from benchmarks.workloads import BOUNDARY, MB, Fill, Workload, pieces

WINDOW = 4 << 20
CASES: dict[str, tuple[Fill, int, int]] = {  # name: what the body has, its size, the size of the chunks
    "random bytes": ("random", 64 * MB, WINDOW),
    "near-delimiters": ("near-delimiters", 64 * MB, WINDOW),
    "CR after CR": ("returns", 64 * MB, WINDOW),
    "the boundary's last characters": ("tails", 64 * MB, WINDOW),
    "random bytes, in chunks of 1 KB": ("random", 16 * MB, 1000),
    "near-delimiters, in one-byte chunks": ("near-delimiters", MB // 2, 1),
    "random bytes, in one-byte chunks": ("random", MB // 2, 1),
}
REFERENCE = "random bytes"


def rates() -> dict[str, float]:
    """Bytes per second for each case."""
    return {name: rate(*case) for name, case in CASES.items()}


def rate(fill: Fill, size: int, chunk: int) -> float:
    from inference_gateway.multipart import Decoder  # here, so that the peers can be measured without us

    message = b"".join(pieces(Workload("", "", "rate", parts=1, part_bytes=size, fill=fill)))
    chunks = list(cut(message, chunk))
    decoder = Decoder(BOUNDARY)
    begin = time.perf_counter()
    for piece in chunks:
        deque(decoder.receive(piece), maxlen=0)
    decoder.finish()
    return len(message) / (time.perf_counter() - begin)


def cut(message: bytes, size: int) -> Iterator[bytearray]:
    return (bytearray(message[start : start + size]) for start in range(0, len(message), size))
