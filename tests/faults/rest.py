"""A server in a process of its own, and what holds after every fault.

Descriptors, threads and spool folder are back where they were, the next request is right, and the log has
nothing of the input: SECRET stands in the JSON, names, header values and bodies of all that is sent.
"""

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from tests.harness.process import GAUGES, Process
from tests.harness.raw import Answer, exchange, head, request
from tests.harness.wire import message, part

MIB = 1 << 20
LIMIT = 40.0
ROOT = b'{"patient": "SECRET"}'
NAMED = (b'Content-Disposition: form-data; name="SECRET"; filename="SECRET.dcm"', b"X-Secret: SECRET")
HEADERS = ((b"Content-Type", b'multipart/related; boundary=bnd; x="SECRET"'), (b"X-Patient", b"SECRET"))
PONG = b"inference-service is up and accepting connections"
POOLED = max(2, min(8, os.cpu_count() or 1)) + 4
"""Threads that a server may start when it needs them, and keep: spool, model, health check, checks."""


def study(*sizes: int) -> bytes:
    """A body with inputs of these sizes."""
    return message(part(ROOT), *(part((b"SECRET" * (size // 6 + 1))[:size], *NAMED) for size in sizes))


def post(*sizes: int, chunk: int = 0) -> bytes:
    return request(HEADERS, study(*sizes), chunk=chunk)


def probe(path: bytes = b"/ping") -> bytes:
    return head((), method=b"GET", target=path)


def whole(answer: Answer | None, status: int = 200) -> Answer:
    assert answer is not None, "no answer"
    assert (answer.status, answer.whole) == (status, True), (answer.status, answer.body[:300])
    return answer


def check_sizes(answer: Answer | None, *sizes: int) -> None:
    """The answer of the model `sizes`."""
    body = whole(answer).body
    found = re.search(rb"\r\n\r\n(\[.*?\])\r\n", body)
    assert found, body[:300]
    assert json.loads(found[1]) == list(sizes)


class Faulty:
    """A server that something will happen to. `folder`: for its spools."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.address = process.address
        self.served = exchange(self.address, probe())
        self._descriptors = self._settled_descriptors()
        self._threads = process.threads

    def _settled_descriptors(self) -> int:
        self.wait(lambda: not any(self.process.gauges.values()), "a request is still there")
        counted: list[int] = []

        def same_twice() -> bool:
            counted.append(len(self.process.descriptors))
            return counted[-2:] == [min(counted)] * 2

        self.wait(same_twice, "descriptors come and go")
        return counted[-1]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Until it is so; each look asks the server or the kernel."""
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end, f"{what}: {self.process.gauges}, {self.process.descriptors}"
            exchange(self.address, probe())

    def wait_gauge(self, name: str, value: float) -> None:
        assert name in GAUGES
        self.wait(lambda: self.process.gauges[name] == value, f"{name} is not {value}")

    def check_after(self, *, next_size: int = 2 * MIB) -> None:
        """What holds after every fault."""
        self.wait(lambda: not any(self.process.gauges.values()), "a request is still there")
        self.wait(
            lambda: len(self.process.descriptors) <= self._descriptors, "descriptors are more than before"
        )
        assert not [name for name in self.process.descriptors if name.startswith(f"{self.folder}/")]
        assert list(self.folder.iterdir()) == []
        assert self.process.threads <= self._threads + POOLED
        check_sizes(exchange(self.address, post(next_size), limit=LIMIT), next_size)
        assert "SECRET" not in self.process.log
        assert "Traceback" not in self.process.log
