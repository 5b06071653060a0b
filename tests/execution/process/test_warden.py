"""What is left when a gateway is killed: nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inference_gateway.execution.process import warden
from tests.harness.process import Process, alive, descendants, serve_command
from tests.harness.raw import Answer, Connection, exchange, head, request
from tests.harness.waiting import until
from tests.harness.wire import decoded, message, part

pytestmark = pytest.mark.slow

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
LIMIT = 60.0
MODELS = Path(__file__).parents[3]


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


def asked(process: Process) -> Answer:
    body = message(part(json.dumps({}).encode()), part(bytes(100_000)))
    answer = exchange(process.address, request(TYPE, body), limit=LIMIT)
    assert answer is not None
    return answer


def ask(process: Process) -> Any:
    answer = asked(process)
    assert answer.status == 200, answer.body[:300]
    return json.loads(decoded(answer)[0][2])


def test_the_gateway_of_a_heavy_model_stays_small_and_answers_while_it_is_set_up(
    spool_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKS", str(tmp_path))
    (tmp_path / "closed").touch()
    command = serve_command("tests.execution.process.models:Heavy", "--isolation", "process")
    process = Process(MODELS, command, spool_dir=spool_dir)
    try:
        until((tmp_path / "waits").exists)
        for path, status in ((b"/ping", 200), (b"/healthcheck", 503)):
            answer = exchange(process.address, head((), method=b"GET", target=path))
            assert answer is not None
            assert answer.status == status
        (tmp_path / "closed").unlink()
        ready(process)
        assert ask(process)["weights"] == 200 << 20
        assert process.memory < 80 << 20
    finally:
        process.close()


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
    """The kernel kills the model's processes then, the gateway what these have started; others follow."""
    ready(gateway)
    begotten = ask(gateway)["pids"]
    (warden,) = [
        pid
        for pid in descendants(gateway.popen.pid)
        if b"warden" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    children = descendants(warden)
    assert children >= set(begotten)
    os.kill(warden, signal.SIGKILL)
    until(lambda: not [pid for pid in children if alive(pid)])
    until(lambda: asked(gateway).status == 200)  # the gateway may hear of it a moment later


# What is said to a warden, and what it does

SLEEPS = [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]


class Warden:
    """One that is spoken to directly; started with the interpreter's site, so that coverage is measured."""

    def __init__(self) -> None:
        self.sock, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(LIMIT)
        with other:
            command = [sys.executable, warden.__file__, str(other.fileno())]
            self.popen = subprocess.Popen(command, pass_fds=(other.fileno(),))

    def say(self, message: dict[str, Any], *descriptors: int) -> None:
        socket.send_fds(self.sock, [json.dumps(message).encode()], descriptors)

    def start(self, argv: list[str], *descriptors: int) -> int:
        self.say({"start": argv, "cwd": os.getcwd(), "env": dict(os.environ), "mark": "m"}, *descriptors)
        pid: int = self.hear()["started"]
        return pid

    def hear(self) -> Any:
        return json.loads(self.sock.recv(1 << 16))

    def close(self) -> None:
        self.sock.close()
        assert self.popen.wait(LIMIT) == 0


@pytest.fixture
def alone() -> Iterator[Warden]:
    found = Warden()
    yield found
    found.close()


def test_it_starts_a_process_and_says_how_it_ended(alone: Warden) -> None:
    pid = alone.start(SLEEPS)
    until(lambda: os.getsid(pid) == pid)
    alone.say({"signal": signal.SIGTERM, "pid": pid})
    assert alone.hear() == {"ended": pid, "status": signal.SIGTERM}
    alone.say({"signal": signal.SIGTERM, "pid": os.getpid()})  # none of its own: left alone


def test_a_process_that_cannot_be_started_says_why(
    capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    alone: Warden = request.getfixturevalue("alone")  # its standard error is the captured one
    pid = alone.start(["/nowhere"])
    assert alone.hear() == {"ended": pid, "status": 127 << 8}
    assert "could not be started: No such file or directory" in capfd.readouterr().err


def test_a_signal_is_not_lost_on_a_process_that_has_hardly_begun(alone: Warden) -> None:
    """The warden ignores SIGTERM, and so does its child until it says otherwise."""
    for _ in range(20):
        pid = alone.start(SLEEPS)
        alone.say({"signal": signal.SIGTERM, "pid": pid})
        assert alone.hear() == {"ended": pid, "status": signal.SIGTERM}


def test_a_process_inherits_what_came_with_the_message(alone: Warden) -> None:
    read, write = os.pipe()
    pid = alone.start([sys.executable, "-S", "-c", "import os; os.write(3, b'here')"], write)
    os.close(write)
    assert os.read(read, 10) == b"here"
    assert os.read(read, 10) == b""  # the warden has closed its copy
    os.close(read)
    assert alone.hear() == {"ended": pid, "status": 0}


def test_what_a_process_has_left_behind_is_killed(alone: Warden) -> None:
    read, write = os.pipe()
    code = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen({SLEEPS!r}, start_new_session=True)\n"
        "os.write(3, str(child.pid).encode())"
    )
    living = alone.start(SLEEPS)
    pid = alone.start([sys.executable, "-c", code], write)
    os.close(write)
    orphan = int(os.read(read, 20))
    os.close(read)
    assert alone.hear() == {"ended": pid, "status": 0}
    until(lambda: not alive(orphan))
    assert alive(living)


def test_a_child_that_has_no_session_yet_is_signalled_alone() -> None:
    with subprocess.Popen(SLEEPS) as child:
        warden.signal_child(child.pid, signal.SIGTERM)
        assert child.wait(LIMIT) == -signal.SIGTERM


def test_it_ends_with_all_that_it_has_started_when_nobody_speaks_to_it_any_more(alone: Warden) -> None:
    pids = [alone.start(SLEEPS) for _ in range(2)]
    alone.close()
    assert not any(map(alive, pids))
