"""Round after round of actors, nodes and gateways that are killed: each client knows, and nothing stays.

A few rounds by default, one of each kind; INFERENCE_GATEWAY_ROUNDS asks for more.
"""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from tests.execution.requests import is_ready, post
from tests.harness.clusters import RayCluster
from tests.harness.process import Process, serve_command
from tests.harness.raw import Answer, Connection, exchange
from tests.harness.rounds import ROUNDS
from tests.harness.waiting import until
from tests.harness.wire import check_reply, decoded, digest

LIMIT = 90.0
PROJECT = Path(__file__).parents[2]
STUDY = 20 << 20  # bytes: some pieces
MASK = 20_000_000
ACTORS = 2


class Bench:
    """A gateway on a cluster, and what is done to it and its models."""

    def __init__(self, cluster: RayCluster, clocks: Path, spool: Path) -> None:
        self.cluster = cluster
        self.clocks = clocks
        self._spool = spool
        self.begin()

    def begin(self) -> None:
        self.process = Process(
            PROJECT,
            serve_command("tests.faults.violent_on_ray:app"),
            spool_dir=self._spool,
            spool_memory_bytes=100_000,
            queue_timeout=LIMIT,
            validate="off",
        )
        until(lambda: is_ready(self.process.address))

    def tell(self) -> None:
        """What the gateway logged: where a round fails, it says why."""
        print(*self.process.lines, sep="\n", flush=True)

    def is_well(self) -> None:
        """As many good requests as there are slots get their answers, at once."""

        def ask(given: bytes) -> None:
            answer = exchange(self.process.address, post({}, given), limit=LIMIT)
            parts = {"parts": [{"binary_type": "dicom"}]}
            check_reply(answer, parts, [("application/dicom", given)], digest(b"{}", given))

        with ThreadPoolExecutor(ACTORS) as threads:
            list(threads.map(ask, [os.urandom(STUDY) for _ in range(ACTORS)]))

    def marked(self) -> int:
        """Wait until a call has come to its mark; return its process."""
        mark = self.clocks / "pid"
        until(mark.exists, "the mark of a call")
        pid = int(mark.read_text())
        mark.unlink()
        return pid

    def kill_gateway(self) -> None:
        self.tell()
        self.process.close()  # SIGKILL
        self.begin()

    def asked(self, asked: Any, then: Callable[[], None], read: int = 0) -> Answer | None:
        """Do something to a request when its call has come to its mark; return what the client gets."""
        with Connection(self.process.address, limit=LIMIT) as connection:
            connection.send(post(asked, os.urandom(STUDY)))
            pid = self.marked()
            if read:
                connection.read_until(read)
            self._pid = pid
            then()
            with suppress(ConnectionError):
                return connection.read_answer()
        return None

    def kill_actor(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def kill_node(self) -> None:
        self.cluster.cluster.remove_node(self.cluster.far, allow_graceful=False)
        self.cluster.far = self.cluster.add_far_node()

    # What a round is

    def actor(self, do: str) -> None:
        answer = self.asked({"do": do}, self.kill_actor)
        assert answer is not None
        assert json.loads(answer.body)["type"] == "urn:inference-gateway:model-crashed"

    def actor_while_an_array_is_sent(self) -> None:
        """It is the gateway's by then."""
        answer = self.asked({"do": "array", "size": MASK}, self.kill_actor, read=1)
        assert answer is not None
        assert decoded(answer)[1][2] == b"\7" * MASK

    def actor_while_blocks_are_made(self) -> None:
        answer = self.asked({"do": "blocks"}, self.kill_actor, read=100_000)
        assert answer is not None
        assert not answer.whole

    def node(self) -> None:
        answer = self.asked({"do": "computing"}, self.kill_node)
        assert answer is not None
        assert answer.status == 500

    def gateway_in_upload(self) -> None:
        with Connection(self.process.address, limit=LIMIT) as connection:
            connection.send(post({}, os.urandom(STUDY))[: STUDY // 2])
            self.kill_gateway()
            with suppress(ConnectionError):
                assert connection.read_answer() is None

    def gateway_in_queue(self) -> None:
        """All slots are taken; one more waits."""
        with ThreadPoolExecutor(ACTORS + 1) as threads:
            waiting = threading.Event()

            def ask() -> None:
                with suppress(ConnectionError), Connection(self.process.address, limit=LIMIT) as connection:
                    connection.send(post({"do": "computing"}, bytes(1 << 20)))
                    waiting.set()
                    assert connection.read_answer() is None

            asked = [threads.submit(ask) for _ in range(ACTORS + 1)]
            self.marked()
            waiting.wait()
            self.kill_gateway()
            for each in asked:
                each.result()
        (self.clocks / "pid").unlink(missing_ok=True)

    def gateway(self, asked: Any, read: int = 0) -> None:
        answer = self.asked(asked, self.kill_gateway, read)
        assert answer is None or not answer.whole


KINDS: dict[str, Callable[[Bench], None]] = {
    "actor, while it reads": lambda bench: bench.actor("reading"),
    "actor, while it computes": lambda bench: bench.actor("computing"),
    "actor, while an array is sent": Bench.actor_while_an_array_is_sent,
    "actor, while blocks are made": Bench.actor_while_blocks_are_made,
    "gateway, in an upload": Bench.gateway_in_upload,
    "gateway, in the queue": Bench.gateway_in_queue,
    "gateway, in the model": lambda bench: bench.gateway({"do": "computing"}),
    "gateway, in an answer": lambda bench: bench.gateway({"do": "blocks"}, read=100_000),
    "node": Bench.node,
}
TIMES = ROUNDS or len(KINDS)


@pytest.fixture
def bench(cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    clocks, spool = tmp_path / "clocks", tmp_path / "spool"
    clocks.mkdir()
    spool.mkdir()
    monkeypatch.setenv("CLOCKS", str(clocks))
    found = Bench(cluster, clocks, spool)
    try:
        yield found
    finally:
        found.tell()
        found.process.close()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(300 + 90 * TIMES)
def test_what_is_killed(bench: Bench) -> None:
    bench.is_well()
    for kind in islice(cycle(KINDS), TIMES):
        print(kind, flush=True)
        KINDS[kind](bench)
        bench.is_well()
        bench.cluster.empties()
