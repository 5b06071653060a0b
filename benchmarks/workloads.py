"""What is sent and what is asked for: each workload as data, and the files with its bodies."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

BOUNDARY = b"benchmark-boundary-0f6a3c9e5d7b4812"
MB, KB = 1_000_000, 1000
MIB = 1 << 20

Fill = Literal["random", "near-delimiters", "returns", "tails"]
Kind = Literal["rate", "requests", "curve", "ping"]
Answer = Literal["", "array", "iterable"]


@dataclass(frozen=True)
class Workload:
    """`parts` inputs of `part_bytes` each, `connections` at once; or, as `answer` says, bytes the other way.

    kind `rate`: bytes per second of one request on each connection. `requests`: requests per second for
    `seconds`; `curve`: the same, as a point of the curve. `ping`: the latency of probes for `seconds`, while
    the request is repeated on `connections`.
    """

    name: str
    title: str
    kind: Kind
    parts: int = 0
    part_bytes: int = 0
    connections: int = 1
    seconds: float = 0.0
    answer: Answer = ""
    answer_bytes: int = 0
    fill: Fill = "random"
    one_byte_chunks: bool = False

    @property
    def payload(self) -> int:
        """Bytes of images, on all connections together."""
        return self.parts * self.part_bytes * self.connections

    @property
    def concurrent(self) -> bool:
        return self.connections > 1 or self.kind == "ping"

    @property
    def bulk(self) -> bool:
        return self.payload + self.answer_bytes >= 50 * MB

    def memory_to_warm(self, holds: float) -> int:
        """Enough for what the server holds at once, and for the sockets."""
        return min(int(holds * (self.payload + self.answer_bytes)) + 64 * MIB, 6 << 30) if self.bulk else 0


FULL = (
    Workload("parts", "1 GB, 2000 parts", "rate", parts=2000, part_bytes=500 * KB),
    Workload("one", "1 GB, one part", "rate", parts=1, part_bytes=1000 * MB),
    Workload("study", "200 MB, 400 parts", "rate", parts=400, part_bytes=500 * KB),
    Workload("eight", "8 x 100 MB at once", "rate", parts=200, part_bytes=500 * KB, connections=8),
    Workload("tiny", "10,000 parts of 1 KB", "rate", parts=9999, part_bytes=KB),  # and the root part
    Workload("json-1", "JSON only, 1 connection", "requests", seconds=3),
    Workload("json-16", "JSON only, 16 connections", "requests", connections=16, seconds=3),
    Workload(
        "images-1",
        "JSON + 3 images of 30 KB, 1 connection",
        "requests",
        parts=3,
        part_bytes=30 * KB,
        seconds=3,
    ),
    Workload(
        "images-16",
        "JSON + 3 images of 30 KB, 16 connections",
        "requests",
        parts=3,
        part_bytes=30 * KB,
        connections=16,
        seconds=3,
    ),
    Workload("array", "answer of 500 MB, array", "rate", answer="array", answer_bytes=500 * MB),
    Workload("iterable", "answer of 500 MB, iterable", "rate", answer="iterable", answer_bytes=500 * MB),
    Workload("ping-idle", "/ping, idle", "ping", connections=0, seconds=3),
    Workload(
        "ping-uploads",
        "/ping during 4 uploads of 200 MB",
        "ping",
        parts=400,
        part_bytes=500 * KB,
        connections=4,
        seconds=6,
    ),
    Workload(
        "ping-answer",
        "/ping during an answer of 500 MB",
        "ping",
        answer="array",
        answer_bytes=500 * MB,
        seconds=6,
    ),
    Workload(
        "ping-hostile",
        "/ping during 100 MB of near-delimiters",
        "ping",
        parts=1,
        part_bytes=100 * MB,
        fill="near-delimiters",
        seconds=6,
    ),
    Workload("plain", "100 MB of random bytes, one part", "rate", parts=1, part_bytes=100 * MB),
    Workload(
        "hostile-delimiters",
        "100 MB of near-delimiters",
        "rate",
        parts=1,
        part_bytes=100 * MB,
        fill="near-delimiters",
    ),
    Workload(
        "hostile-returns", "100 MB of CR after CR", "rate", parts=1, part_bytes=100 * MB, fill="returns"
    ),
    Workload(
        "hostile-chunks", "2 MB in one-byte chunks", "rate", parts=1, part_bytes=2 * MB, one_byte_chunks=True
    ),
)

QUICK_NAMES = ("parts", "eight", "tiny", "json-16", "array", "ping-uploads")
NAMES = tuple(workload.name for workload in FULL)


def shrunk(workload: Workload) -> Workload:
    """The same with a fifth of the bytes."""
    title = workload.title
    for whole, fifth in SHRUNK_TITLES.items():
        title = title.replace(whole, fifth)
    several = workload.parts > 3
    return replace(
        workload,
        title=title,
        parts=workload.parts // 5 if several else workload.parts,
        part_bytes=workload.part_bytes if several else workload.part_bytes // 5,
        answer_bytes=workload.answer_bytes // 5,
        seconds=workload.seconds / 3,
    )


SHRUNK_TITLES = {  # in this order
    "200 MB, 400 parts": "40 MB, 80 parts",
    "uploads of 200 MB": "uploads of 40 MB",
    "1 GB, 2000 parts": "200 MB, 400 parts",
    "1 GB, one part": "200 MB, one part",
    "8 x 100 MB": "8 x 20 MB",
    "100 MB of": "20 MB of",
    "2 MB in": "0.4 MB in",
    "10,000 parts": "2,000 parts",
    "500 MB": "100 MB",
    "30 KB": "6 KB",
}


# Bodies. multipart/related and multipart/form-data differ in the header only, so one file is for all servers.


@dataclass(frozen=True)
class Body:
    file: Path
    size: int
    framed: bool


class Bodies:
    """The body files of the workload at hand, in memory where the machine has a file system for it."""

    def __init__(self) -> None:
        shared_memory = "/dev/shm"
        parent = shared_memory if os.access(shared_memory, os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-bench-", dir=parent))

    def __enter__(self) -> Bodies:
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.folder)

    def body_of(self, workload: Workload) -> Body:
        path = self.folder / workload.name
        if not path.exists():
            for old in self.folder.iterdir():
                old.unlink()
            with open(path, "wb") as file:
                for piece in framed(pieces(workload)) if workload.one_byte_chunks else pieces(workload):
                    file.write(piece)
        return Body(path, path.stat().st_size, workload.one_byte_chunks)

    def smallest(self) -> Body:
        """What a server is greeted with before it is measured."""
        path = self.folder / "smallest.json"
        if not path.exists():
            path.write_bytes(b"".join(pieces(Workload("smallest", "", "requests"))))
        return Body(path, path.stat().st_size, framed=False)


def pieces(workload: Workload) -> Iterator[bytes]:
    root: dict[str, object] = {"study": "benchmark", "threshold": 0.5}
    if workload.answer:
        root["answer"] = workload.answer
    yield b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="json_input"\r\n'
    yield b"Content-Type: application/json\r\n\r\n" + json.dumps(root).encode()
    for index in range(workload.parts):
        name = f'name="inputs"; filename="image_{index:05}.dcm"'.encode()
        yield b"\r\n--" + BOUNDARY + b"\r\nContent-Disposition: form-data; " + name
        yield b"\r\nContent-Type: application/dicom\r\n\r\n"
        yield from content(workload.fill, workload.part_bytes)
    yield b"\r\n--" + BOUNDARY + b"--\r\n"


RANDOM = os.urandom(4 * MIB)


def content(fill: Fill, size: int) -> Iterator[bytes]:
    if fill == "random":
        block = RANDOM
    elif fill == "returns":
        block = b"\r" * MIB
    elif fill == "tails":  # wherever a search looks, the delimiter may end a little further on
        block = BOUNDARY[-8:] * (MIB // 8)
    else:  # all of the delimiter but its last byte, over and over
        line = b"\r\n--" + BOUNDARY[:-1]
        block = line * (MIB // len(line))
    while size > 0:
        yield block[:size]
        size -= len(block)


def framed(whole: Iterator[bytes]) -> Iterator[bytes]:
    for piece in whole:
        yield b"".join(b"1\r\n%c\r\n" % byte for byte in piece)
    yield b"0\r\n\r\n"


def content_type(subtype: str) -> str:
    return f"multipart/{subtype}; boundary={BOUNDARY.decode()}"
