"""What is left when a gateway is killed: nothing."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.harness.process import Process, serve_command
from tests.harness.raw import Connection, exchange, head, request
from tests.harness.waiting import until
from tests.harness.wire import decoded, message, part

pytestmark = pytest.mark.slow

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
LIMIT = 60.0
MODELS = Path(__file__).parents[3]


def alive(pid: int) -> bool:
    with suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def descendants(pid: int) -> set[int]:
    """The processes that `pid` has started, and theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.fixture
def gateway(spool_dir: Path) -> Iterator[Process]:
    target = "tests.execution.process.models:begets"
    command = serve_command(target, "--isolation", "process")
    process = Process(MODELS, command, spool_dir=spool_dir, spool_memory_bytes=0)
    yield process
    process.close()


def ready(process: Process) -> None:
    def is_ready() -> bool:
        with Connection(process.address) as connection:
            connection.send(head((), method=b"GET", target=b"/healthcheck"))
            answer = connection.read_answer()
        return answer is not None and answer.status == 200

    until(is_ready)


def ask(process: Process) -> Any:
    body = message(part(json.dumps({}).encode()), part(bytes(100_000)))
    answer = exchange(process.address, request(TYPE, body), limit=LIMIT)
    assert answer is not None
    assert answer.status == 200, answer.body[:300]
    return json.loads(decoded(answer)[0][2])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_gateway_that_ends_leaves_no_process_and_no_file(
    number: signal.Signals, gateway: Process, spool_dir: Path
) -> None:
    ready(gateway)
    begotten = ask(gateway)["pids"]
    all_of_it = descendants(gateway.popen.pid)
    assert len(all_of_it) >= 4  # the warden, the model, and what the model has started
    assert set(begotten) <= all_of_it
    gateway.popen.send_signal(number)
    gateway.popen.wait(LIMIT)
    until(lambda: not [pid for pid in all_of_it if alive(pid)])
    assert os.listdir(spool_dir) == []


def test_a_warden_that_is_killed_is_replaced(gateway: Process) -> None:
    """The kernel kills the model's processes then, and the next request meets others."""
    ready(gateway)
    (warden,) = [
        pid
        for pid in descendants(gateway.popen.pid)
        if b"warden" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    (child,) = descendants(warden)
    os.kill(warden, signal.SIGKILL)
    until(lambda: not alive(child))
    body = message(part(b"{}"))
    answer = exchange(gateway.address, request(TYPE, body), limit=LIMIT)
    assert answer is not None
    assert answer.status == 500  # it is only noticed now
    assert ask(gateway)["pids"]
