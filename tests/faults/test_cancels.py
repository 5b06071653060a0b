"""Admission and execution under clients that leave: one call at a time, all counts back at zero."""

import asyncio
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_gateway import Gateway, Settings
from inference_gateway.errors import ModelTimeout, Unavailable
from inference_gateway.execution.line import Line
from inference_gateway.execution.thread_runner import ThreadRunner
from inference_gateway.intake.admission import Queue, Ticket, Uploads
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.faults.counting import ping, wait_zero
from tests.faults.rest import LIMIT, post, whole
from tests.harness.log import LogCapture
from tests.harness.raw import Connection, exchange
from tests.harness.server import left_in
from tests.harness.turns import Whole

CLIENTS = 200


class Alone:
    """A model that sees whether another call of it is going on."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self.calls = 0
        self.together = 0

    def __call__(self, json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, Any]:
        if not self._busy.acquire(blocking=False):
            self.together += 1
            return {}
        try:
            self.calls += 1
            assert sum(range(20_000))  # long enough to be caught by another call
            return {"sizes": [len(part.read()) for part in inputs]}
        finally:
            self._busy.release()


@pytest.mark.setting("MODEL_CONCURRENCY")
def test_200_clients_that_cancel_at_random_moments(spool_dir: Path, serve: Serve, log: LogCapture) -> None:
    model = Alone()
    limits = Settings(
        spool_dir=spool_dir,
        model_concurrency=1,
        max_queue=CLIENTS,
        max_uploads=CLIENTS,
        spool_memory_bytes=500,
    )
    app = Gateway(settings=limits)
    app.add_inference_route("/", model)
    running = serve(app, make_server(app, port=0))

    def client(number: int) -> None:
        chosen = random.Random(number)
        sent = post(chosen.choice([10, 1000, 300_000, 1_500_000]), chunk=chosen.choice([0, 0, 40_000]))
        leaves_at = chosen.randint(0, len(sent)) if chosen.random() < 0.6 else len(sent)
        with Connection(running.address, limit=LIMIT) as connection:
            connection.send(sent[: leaves_at // 2])
            connection.send(sent[leaves_at // 2 : leaves_at])
            if leaves_at == len(sent):
                for _ in range(chosen.randint(0, 3)):  # a moment, as long as an answer to somebody else
                    ping(running.address)
            if chosen.random() < 0.5:
                connection.reset()

    with ThreadPoolExecutor(40) as clients:
        list(clients.map(client, range(CLIENTS)))
    running.watched.wait_idle()
    wait_zero(running.address, app)
    assert model.together == 0
    assert model.calls > 0
    assert left_in(spool_dir) == []
    assert "SECRET" not in log.text
    assert log.tracebacks == []
    whole(exchange(running.address, post(100)))


# The objects themselves, without a server: any order of events

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["start", "uploaded", "go", "fail", "cancel", "upload fails"]),
    ),
    max_size=25,
)


class Rig:
    """Six requests at most, each of which is told what happens to it next."""

    def __init__(self, concurrency: int, places: int, timeout: float | None) -> None:
        self.uploads, self.queue = Uploads(places), Queue(places)
        self.together = self.most = 0
        self.lock = threading.Lock()
        self.runner = ThreadRunner(
            "/", print, Whole, Line("rig", concurrency), name="rig", timeout=timeout, queue_timeout=LIMIT
        )
        self.concurrency = concurrency
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.uploaded: dict[int, asyncio.Future[bool]] = {}
        self.go: dict[int, threading.Event] = {}
        self.fails: set[int] = set()
        self.refused = 0

    def model(self, number: int) -> None:
        with self.lock:
            self.together += 1
            self.most = max(self.most, self.together)
        assert self.go[number].wait(LIMIT)
        with self.lock:
            self.together -= 1
        if number in self.fails:
            raise ValueError("as told")

    async def request(self, number: int) -> None:
        try:
            with Ticket(self.uploads, self.queue) as ticket:
                if not await self.uploaded[number]:
                    raise ValueError("the upload fails")
                ticket.uploaded()
                slot = self.runner.slot(str(number), on_start=ticket.in_slot)
                try:
                    await slot.call(self.model, number)
                finally:
                    slot.release()
        except Unavailable:
            self.refused += 1
        except (ValueError, ModelTimeout):
            pass

    async def happen(self, number: int, event: str) -> None:
        task = self.tasks.get(number)
        if event == "start" and task is None:
            self.uploaded[number] = asyncio.get_running_loop().create_future()
            self.go[number] = threading.Event()
            self.tasks[number] = asyncio.create_task(self.request(number))
        elif task is not None:
            uploaded = self.uploaded[number]
            if event in ("uploaded", "upload fails") and not uploaded.done():
                uploaded.set_result(event == "uploaded")
            elif event in ("go", "fail"):
                self.fails |= {number} if event == "fail" else set()
                self.go[number].set()
            elif event == "cancel":
                task.cancel()
        await asyncio.sleep(0)
        self.check_limits()

    def check_limits(self) -> None:
        assert 0 <= self.uploads.count <= self.uploads.limit
        assert 0 <= self.queue.count <= self.queue.limit
        assert 0 <= self.runner.readiness.orphaned <= self.runner.readiness.taken <= self.concurrency

    async def end(self) -> None:
        """Everybody is let go; then nothing is counted any more."""
        for number, uploaded in self.uploaded.items():
            self.go[number].set()
            if not uploaded.done():
                uploaded.set_result(True)
        for task in self.tasks.values():
            await asyncio.wait((task,), timeout=LIMIT)
            assert task.done()
        async with asyncio.timeout(LIMIT):
            last = self.runner.slot("last")  # behind every orphan
            for _ in range(self.concurrency):
                await last.call(bool)
                last.release()
                last = self.runner.slot("last")
            # The thread has told its result and is about to count itself out: there is no event for that.
            while self.runner.readiness.taken or self.runner.readiness.orphaned:  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(0)
        assert (self.uploads.count, self.queue.count) == (0, 0)
        assert self.most <= self.concurrency
        await self.runner.tear_down()


@settings(max_examples=60)
@given(events=EVENTS, concurrency=st.integers(1, 2), places=st.integers(1, 4), late=st.booleans())
def test_counts_are_right_after_every_kind_of_ending(
    events: list[tuple[int, str]], concurrency: int, places: int, late: bool
) -> None:
    async def run() -> None:
        rig = Rig(concurrency, places, timeout=0.001 if late else None)
        for number, event in events:
            await rig.happen(number, event)
        await rig.end()

    asyncio.run(run())
