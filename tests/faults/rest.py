"""A server in a process of its own, and what holds after every fault.

Descriptors, threads and spool folder are back where they were, the next request is right, and the log has
nothing of the input: SECRET stands in the JSON, names, header values and bodies of all that is sent. Where
the fault was the process's end, the same is asked of the folder, the log, and the next process.
"""

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.harness.process import GAUGES, Process
from tests.harness.raw import Answer, Connection, exchange, head, request
from tests.harness.waiting import until
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
    found = re.search(rb"\r\n\r\n(\{\"sizes\".*?\})\r\n", body)
    assert found, body[:300]
    assert json.loads(found[1]) == {"sizes": list(sizes)}


class Faulty:
    """A server that something will happen to.

    `folder`: for its spools. `model`: a name in `tests.faults.model`. `again`: starts another one like it.
    """

    def __init__(self, process: Process, folder: Path, model: str, again: Callable[[], "Faulty"]) -> None:
        self.process = process
        self.folder = folder
        self.address = process.address
        self._model = model
        self._again = again
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
        try:
            until(condition, what, LIMIT)
        except AssertionError as error:
            error.add_note(f"{self.process.gauges}, {self.process.descriptors}")
            raise

    def wait_gauge(self, name: str, value: float) -> None:
        assert name in GAUGES
        self.wait(lambda: self.process.gauges[name] == value, f"{name} is not {value}")

    # The model `held`

    def wait_begun(self) -> None:
        """Until a call of it has begun."""
        (self.folder.parent / "begun").read_text()

    def let_go(self) -> None:
        """Lets the call that has begun go on."""
        (self.folder.parent / "go").write_text("x")

    # What holds after a fault

    def check_after(self, *, next_size: int = 2 * MIB) -> None:
        """What holds after every fault that the process outlives."""
        self.wait(lambda: not any(self.process.gauges.values()), "a request is still there")
        self.wait(
            lambda: len(self.process.descriptors) <= self._descriptors, "descriptors are more than before"
        )
        assert not [name for name in self.process.descriptors if name.startswith(f"{self.folder}/")]
        assert list(self.folder.iterdir()) == []
        assert self.process.threads <= self._threads + POOLED
        self.check_next(next_size)
        self.check_log()

    def check_next(self, size: int) -> None:
        """The next request is right."""
        with Connection(self.address, limit=LIMIT) as connection:
            connection.send(post(size))
            if self._model == "held":
                self.wait_begun()
                self.let_go()
            answer = connection.read_answer()
        if self._model == "large":
            assert len(whole(answer).body) > 64 * MIB
        else:
            check_sizes(answer, size)

    def check_log(self, *, orderly: bool = True) -> None:
        """It has nothing of the input, and no error of the gateway itself."""
        assert "SECRET" not in self.process.log
        assert not orderly or "Traceback" not in self.process.log

    def check_ended(self, exit_code: int = 0, *, orderly: bool = True) -> None:
        """What holds after every fault that ends the process."""
        assert self.process.wait(LIMIT) == exit_code
        assert list(self.folder.iterdir()) == []
        assert still_open(self.folder) == []
        self.check_log(orderly=orderly)
        after = self._again()
        after.check_next(2 * MIB)
        after.check_after()


def still_open(folder: Path) -> list[str]:
    """The files of a folder that some process has open, whether they have a name or not."""
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # closed since, or somebody else's
            target = os.readlink(descriptor)
            if target.startswith(f"{folder}/"):
                found.append(f"{descriptor}: {target}")
    return found
