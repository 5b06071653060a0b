"""Round after round of models that end badly: each client knows, no device is used twice, nothing stays.

A few rounds by default, one of each kind; INFERENCE_GATEWAY_ROUNDS asks for more.
"""

import json
import os
import random
import signal
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.harness.process import Process, alive, descendants, serve_command
from tests.harness.raw import Answer, Connection, exchange, head, request
from tests.harness.rounds import ROUNDS
from tests.harness.waiting import until
from tests.harness.wire import check_problem, check_reply, decoded, digest, message, part

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
LIMIT = 60.0
PROJECT = Path(__file__).parents[2]
STUDY = 300_000  # bytes: a file
MASK = 20_000_000  # more than sockets and buffers take
TIMEOUT = 1.0
MEMORY = 4 << 30
MAY_GROW = 24 << 20  # bytes: what allocators and caches of the gateway may keep


class Bench:
    """A gateway with two routes on one device, and what is done to the models on them."""

    def __init__(self, process: Process, clocks: Path, spool: Path) -> None:
        self.process = process
        self.spool = spool
        self._clocks = clocks

    def ready(self) -> None:
        def is_ready() -> bool:
            with Connection(self.process.address) as connection:
                connection.send(head((), method=b"GET", target=b"/healthcheck"))
                answer = connection.read_answer()
            return answer is not None and answer.status == 200

        until(is_ready)

    def post(self, path: bytes, asked: Any, *inputs: bytes) -> bytes:
        return request(TYPE, message(part(json.dumps(asked).encode()), *map(part, inputs)), target=path)

    def ask(self, path: bytes, asked: Any) -> Answer:
        answer = exchange(self.process.address, self.post(path, asked), limit=LIMIT)
        assert answer is not None
        return answer

    def is_well(self, path: bytes) -> None:
        """A good request gets its answer."""
        given = os.urandom(STUDY)
        answer = exchange(self.process.address, self.post(path, {}, given), limit=LIMIT)
        parts = {"parts": [{"binary_type": "dicom"}]}
        check_reply(answer, parts, [("application/dicom", given)], digest(b"{}", given))

    def marked(self) -> int:
        """Wait until a call has come to its mark; return its process."""
        mark = self._clocks / "pid"
        until(mark.exists, "the mark of a call")
        pid = int(mark.read_text())
        mark.unlink()
        return pid

    def never_two_at_once(self) -> int:
        """Look at the clocks of all calls; return how many there were."""
        files = [path for path in self._clocks.iterdir() if path.name != "pid"]
        spans = sorted(struct.unpack("dd", path.read_bytes()) for path in files)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
        return len(spans)

    # What a round is

    def hang(self, path: bytes) -> None:
        check_problem(self.ask(path, {"do": "hang"}), 504)

    def stop(self, path: bytes) -> None:
        """The process is stopped (SIGSTOP) in a call."""
        check_problem(self.ask(path, {"do": "stop"}), 504)

    def crash(self, path: bytes, do: str) -> None:
        answer = self.ask(path, {"do": do})
        assert answer.status == 500, answer.body
        assert json.loads(answer.body)["type"] == "urn:inference-gateway:model-crashed"

    def memory(self, path: bytes) -> None:
        check_problem(self.ask(path, {"do": "memory"}), 500)

    def kill(self, path: bytes, do: str) -> None:
        """The process is killed while it reads or computes."""
        with Connection(self.process.address, limit=LIMIT) as connection:
            connection.send(self.post(path, {"do": do}, os.urandom(STUDY)))
            os.kill(self.marked(), signal.SIGKILL)
            answer = connection.read_answer()
        assert answer is not None
        assert answer.status == 500

    def kill_while_an_array_is_sent(self, path: bytes) -> None:
        """It is the gateway's by then: the client gets all of it."""
        asked = {"do": "array", "size": MASK}
        with Connection(self.process.address, limit=LIMIT) as connection:
            connection.send(self.post(path, asked))
            pid = self.marked()
            connection.read_until(1)
            os.kill(pid, signal.SIGKILL)
            answer = connection.read_answer()
        assert answer is not None
        assert answer.whole
        assert decoded(answer)[1][2] == b"\7" * MASK

    def kill_while_blocks_are_made(self, path: bytes) -> None:
        """The client notices that the answer is cut."""
        with Connection(self.process.address, limit=LIMIT) as connection:
            connection.send(self.post(path, {"do": "blocks"}))
            pid = self.marked()
            connection.read_until(100_000)
            os.kill(pid, signal.SIGKILL)
            answer = connection.read_answer()
        assert answer is not None
        assert not answer.whole

    def kill_between_calls(self, path: bytes) -> None:
        """A request that comes before the gateway knows is told; those after it notice nothing."""
        asked = {"do": "array", "size": 10}
        assert self.ask(path, asked).status == 200
        os.kill(self.marked(), signal.SIGKILL)
        assert self.ask(path, {}).status in (200, 500)

    def stop_between_calls(self, path: bytes) -> None:
        """Only the next call finds out; its client hears of it at its deadline."""
        asked = {"do": "array", "size": 10}
        assert self.ask(path, asked).status == 200
        os.kill(self.marked(), signal.SIGSTOP)
        check_problem(self.ask(path, asked), 504)


KINDS: dict[str, Callable[[Bench, bytes], None]] = {
    "hang": Bench.hang,
    "segmentation fault": lambda bench, path: bench.crash(path, "segmentation fault"),
    "exit": lambda bench, path: bench.crash(path, "exit"),
    "out of memory": Bench.memory,
    "killed while it reads": lambda bench, path: bench.kill(path, "reading"),
    "killed while it computes": lambda bench, path: bench.kill(path, "computing"),
    "killed while an array is sent": Bench.kill_while_an_array_is_sent,
    "killed while blocks are made": Bench.kill_while_blocks_are_made,
    "killed between calls": Bench.kill_between_calls,
    "stopped": Bench.stop,
    "stopped between calls": Bench.stop_between_calls,
}
TIMES = ROUNDS or len(KINDS)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    clocks, spool = tmp_path / "clocks", tmp_path / "spool"
    clocks.mkdir()
    spool.mkdir()
    monkeypatch.setenv("CLOCKS", str(clocks))
    settings = {
        "spool_dir": spool,
        "spool_memory_bytes": STUDY // 2,
        "model_timeout": TIMEOUT,
        "cancel_grace": 0.1,
        "model_memory_bytes": MEMORY,
        "queue_timeout": LIMIT,
        "validate": "off",  # what the model gives back is no DICOM
    }
    process = Process(PROJECT, serve_command("tests.faults.violent_app:app"), **settings)
    found = Bench(process, clocks, spool)
    try:
        found.ready()
        yield found
    finally:
        process.close()


@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * TIMES)
@pytest.mark.setting("MODEL_MEMORY_BYTES", "CANCEL_GRACE")
def test_models_that_end_badly(bench: Bench) -> None:
    process = bench.process
    paths = (b"/", b"/other")
    for path in paths:  # what is made once is there then
        bench.kill_while_an_array_is_sent(path)
        bench.kill_while_an_array_is_sent(path)
        bench.is_well(path)

    def at_rest() -> tuple[int, int]:
        until(lambda: process.at_rest(bench.spool, sockets=1000), "rest")
        until(lambda: len(descendants(process.popen.pid)) == 3, "a warden or a process for each model")
        return len(process.descriptors), process.memory

    descriptors, memory = at_rest()
    for number, kind in zip(range(TIMES), _endless(list(KINDS)), strict=False):
        path = random.choice(paths)  # which one makes no difference
        KINDS[kind](bench, path)
        bench.is_well(paths[number % 2])
    for path in paths:
        bench.is_well(path)
    allowed = descriptors + 4  # the mappings of two arenas for each route
    until(lambda: at_rest()[0] <= allowed, f"no more than {allowed} descriptors")
    assert at_rest()[1] <= memory + MAY_GROW
    assert bench.never_two_at_once() >= 2 * TIMES

    everything = descendants(process.popen.pid)
    os.kill(process.popen.pid, signal.SIGKILL)
    process.popen.wait()
    until(lambda: not any(map(alive, everything)), "the end of all processes")
    assert os.listdir(bench.spool) == []


def _endless(kinds: list[str]) -> Iterator[str]:
    while True:
        yield from kinds
