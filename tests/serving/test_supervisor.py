"""Several workers: they share the port, die alone, and end together. Every one is a real process."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.harness.process import Process, serve_command
from tests.harness.raw import Address, Answer, Connection, exchange, head, request
from tests.harness.serving import Run, check_ok
from tests.harness.waiting import until
from tests.harness.wire import check_problem, message, part

pytestmark = pytest.mark.slow

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
POST = request(TYPE, message(part(b"1")))
PING = head((), method=b"GET", target=b"/ping")
PID = re.compile(rb'"pid": (\d+)')
LIMIT = 60.0

MODEL = """
import ctypes, os, signal, subprocess, sys
from pathlib import Path

libc = ctypes.PyDLL(None)  # calls by it keep Python's lock

def who(json_input, inputs, input_hash):
    return {"pid": os.getpid()}

def locked(json_input, inputs, input_hash):
    '''Keeps Python's lock until somebody opens the other end of the pipe.'''
    Path("locked").write_text(str(os.getpid()))
    libc.open(b"go", 0)
    return {"pid": os.getpid()}

def held(json_input, inputs, input_hash):
    Path("begun").write_text(str(os.getpid()))
    Path("go").read_text()
    return {"pid": os.getpid()}

def leaving(json_input, inputs, input_hash):
    '''Starts a process that starts another one, which nobody waits for.'''
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '0.01']).pid)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {"left": int(done.stdout)}

class FailingSetup:
    def setup(self):
        raise ValueError("no weights here")
    __call__ = staticmethod(who)

class DyingSetup(FailingSetup):
    def setup(self):
        os.kill(os.getpid(), signal.SIGKILL)

class FailingLater(FailingSetup):
    '''The first two can be set up.'''
    def setup(self):
        with open("setups", "a") as file:
            file.write("x")
        if Path("setups").stat().st_size > 2:
            raise ValueError("no weights here")
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs `serve` for an object of `MODEL`; the folder has the pipes `begun`, `locked` and `go`."""
    (tmp_path / "my_model.py").write_text(MODEL)
    (tmp_path / "broken.py").write_text("raise LookupError('broken')")
    for name in ("begun", "locked", "go"):
        os.mkfifo(tmp_path / name)
    with ExitStack() as stack:

        def start(target: str, *options: str, **settings: object) -> Process:
            command = serve_command(target, *options)
            process = Process(tmp_path, command, **{"spool_dir": tmp_path, **settings})
            stack.callback(end, process)
            return process

        yield start


def workers_of(process: Process) -> dict[int, int]:
    """The process id of each worker, by its number, as the log tells: the last of each."""
    found = re.findall(r"inference_gateway: worker (\d+): process (\d+)$", process.log, re.MULTILINE)
    return {int(number): int(pid) for number, pid in found}


def end(process: Process) -> None:
    """Nothing outlives a test, whatever it does."""
    pids = workers_of(process).values()
    if process.popen.poll() is None:
        process.popen.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.close()


def wait_ended(pids: Iterable[int]) -> None:
    """Until none of these processes is there any more."""
    for pid in pids:
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([process], [], [], LIMIT)[0], f"process {pid} does not end"
        finally:
            os.close(process)


def check_ended(pids: Iterable[int]) -> None:
    """None of these processes is there any more."""
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def asked(address: Address) -> int:
    """The process that has answered."""
    answer = check_ok(exchange(address, POST, limit=LIMIT))
    (pid,) = PID.findall(answer.body)
    return int(pid)


def bodies(address: Address, sent: bytes) -> list[bytes]:
    """Answers to some requests at once: one worker alone is hardly quick enough for all of them."""
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(address, limit=LIMIT)) for _ in range(8)]
        for connection in connections:
            connection.send(sent)
        return [check_ok(connection.read_answer()).body for connection in connections]


def first_answer(address: Address, sent: bytes) -> Answer | None:
    """On one of four connections: a worker that holds Python's lock may have taken one or two."""
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(address, limit=LIMIT)) for _ in range(4)]
        for each in connections:
            each.send(sent)
        readable, _, _ = select.select(connections, [], [], LIMIT)
        first: Connection = readable[0]
        return first.read_answer()


def wait_all_answer(process: Process, pids: set[int]) -> None:
    seen: set[int] = set()

    def all_seen() -> bool:
        seen.update(int(pid) for body in bodies(process.address, POST) for pid in PID.findall(body))
        return seen >= pids

    until(all_seen, "not all of them answer")


def wait_workers(process: Process, count: int) -> dict[int, int]:
    return process.wait_log(
        lambda: pids if len(pids := workers_of(process)) == count else None, f"{count} workers"
    )


def wait_replaced(process: Process, number: int, pid: int) -> None:
    process.wait_log(lambda: workers_of(process)[number] != pid, f"another worker {number}")


def test_they_share_a_port_and_end_together(run: Run) -> None:
    process = run("my_model:who", "--workers", "2")
    pids = wait_workers(process, 2)
    assert set(pids) == {1, 2}
    assert process.popen.pid not in pids.values()
    wait_all_answer(process, set(pids.values()))
    process.popen.terminate()
    assert process.wait(LIMIT) == 0
    check_ended(pids.values())
    assert "Traceback" not in process.log


def test_settings_and_options_reach_the_workers(run: Run) -> None:
    process = run("my_model:who", "--workers=2", "--route", "/infer", max_body_bytes="20B")
    check_problem(exchange(process.address, POST, limit=LIMIT), 404)
    check_problem(exchange(process.address, POST.replace(b"POST / ", b"POST /infer ")), 413)


def test_one_that_is_killed_is_replaced_and_the_others_serve_on(run: Run, tmp_path: Path) -> None:
    process = run("my_model:held", "--workers", "2")
    wait_workers(process, 2)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        killed = int((tmp_path / "begun").read_text())
        number = next(number for number, pid in workers_of(process).items() if pid == killed)
        os.kill(killed, signal.SIGKILL)
        assert connection.read_answer() is None
        process.wait_line(f"worker {number}: process {killed} has ended by signal 9")
    with Connection(process.address, limit=LIMIT) as other:
        other.send(POST)
        alive = int((tmp_path / "begun").read_text())
        assert alive != killed
        (tmp_path / "go").write_text("x")
        assert b'"pid": %d' % alive in check_ok(other.read_answer()).body
    wait_replaced(process, number, killed)
    process.popen.terminate()
    assert process.wait(LIMIT) == 0


def test_one_that_holds_pythons_lock_is_left_alone(run: Run, tmp_path: Path) -> None:
    """It hears no signal and tells nothing; the others answer, and it goes on when it can."""
    process = run("my_model:locked", "--workers", "2", header_timeout=4)
    wait_workers(process, 2)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        locked = int((tmp_path / "locked").read_text())
        check_ok(first_answer(process.address, PING))
        assert first_answer(process.address, b"") is None  # four seconds, without some signs of life
        check_ok(first_answer(process.address, PING))
        (tmp_path / "go").write_text("x")
        assert b'"pid": %d' % locked in check_ok(connection.read_answer()).body
    assert locked in workers_of(process).values()
    process.popen.terminate()
    assert process.wait(LIMIT) == 0
    assert "has ended by" not in process.log


@pytest.mark.setting("WORKER_TIMEOUT")
def test_one_that_is_silent_for_too_long_is_replaced(run: Run, tmp_path: Path) -> None:
    process = run("my_model:locked", "--workers", "2", worker_timeout=15)
    wait_workers(process, 2)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        locked = int((tmp_path / "locked").read_text())
        process.wait_line("nothing heard for 15")
        process.wait_line(f"process {locked} has ended by signal 9")
        assert connection.read_answer() is None
    process.wait_log(lambda: locked not in workers_of(process).values(), "another worker")
    process.popen.terminate()
    assert process.wait(LIMIT) == 0


def test_a_drain_ends_in_time_although_one_holds_pythons_lock(run: Run, tmp_path: Path) -> None:
    process = run("my_model:locked", "--workers", "2", drain_timeout=0.3)
    pids = wait_workers(process, 2)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        (tmp_path / "locked").read_text()
        process.popen.terminate()
        assert process.wait(LIMIT) == 0
        assert connection.read_answer() is None
    check_ended(pids.values())


def test_a_request_in_flight_is_answered_after_the_signal(run: Run, tmp_path: Path) -> None:
    """Also where the workers hear the signal twice: from the terminal or the system, and from the parent."""
    process = run("my_model:held", "--workers", "2")
    pids = wait_workers(process, 2)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        for pid in pids.values():
            os.kill(pid, signal.SIGINT)
        process.popen.send_signal(signal.SIGINT)
        process.wait_closed()
        (tmp_path / "go").write_text("x")
        check_ok(connection.read_answer())
    assert process.wait(LIMIT) == 0


def test_a_second_signal_ends_it_at_once(run: Run, tmp_path: Path) -> None:
    process = run("my_model:held", "--workers", "2", drain_timeout=600)
    pids = wait_workers(process, 2)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        process.popen.terminate()
        process.wait_closed()
        process.popen.terminate()
        assert process.wait(LIMIT) == 0
        assert connection.read_answer() is None
    check_ended(pids.values())


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd_open (Linux)")
def test_a_signal_that_comes_when_they_have_all_just_died(run: Run) -> None:
    """The parent has noticed neither yet: it waits for nobody, and kills no process that is not its own."""
    process = run("my_model:who", "--workers", "2")
    wait_workers(process, 2)
    parent, pids = process.popen.pid, workers_of(process).values()
    os.kill(parent, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_ended(pids)
    os.kill(parent, signal.SIGTERM)
    os.kill(parent, signal.SIGCONT)
    assert process.wait(limit=20) == 0
    assert "Traceback" not in process.log


def test_workers_without_a_parent_end(run: Run) -> None:
    process = run("my_model:who", "--workers", "2")
    pids = wait_workers(process, 2)
    wait_all_answer(process, set(pids.values()))
    process.popen.kill()
    wait_ended(pids.values())
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(process.address, timeout=LIMIT)


# What cannot start


@pytest.mark.parametrize("model", ["FailingSetup", "FailingLater"])
def test_a_setup_that_fails_ends_them_all(model: str, run: Run) -> None:
    process = run(f"my_model:{model}", "--workers", "3")
    assert process.wait(LIMIT) == 3
    assert f"setup of model my_model:{model} failed" in process.log
    check_ended(workers_of(process).values())


def test_workers_that_die_before_they_are_ready_are_given_up(run: Run) -> None:
    process = run("my_model:DyingSetup", "--workers", "2")
    assert process.wait(LIMIT) == 3
    assert process.log.count("has ended by signal 9") == 5


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [("my_model:none", 2, "no 'none'"), ("broken:model", 2, "LookupError: broken")],
)
def test_what_is_wrong_is_said_once(target: str, code: int, says: str, run: Run) -> None:
    process = run(target, "--workers", "4")
    assert process.wait(LIMIT) == code
    assert process.log.count(says) == 1


def test_a_port_that_is_taken(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = run("my_model:who", "--workers", "2", "--port", str(taken.getsockname()[1]))
        assert process.wait(LIMIT) == 3
    assert "address already in use" in process.log


def in_a_container(command: list[str]) -> list[str]:
    """As process 1 of a process namespace of its own."""
    return [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        *command,
    ]


def children_of(pid: int) -> list[int]:
    """Zombies too."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(in_a_container(["true"]), capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not namespaces(), reason="needs process namespaces (Linux)")
def test_as_process_1_of_a_container(run: Run, tmp_path: Path) -> None:
    """It answers to signals and reaps what others have left behind."""
    (tmp_path / "my_model.py").write_text(MODEL)
    script = tmp_path / "entry.py"
    script.write_text(
        "import os, runpy, sys\n"
        "print('process', os.getpid(), file=sys.stderr, flush=True)\n"
        "sys.argv = ['inference-gateway', *sys.argv[1:]]\n"
        "runpy.run_module('inference_gateway.cli', run_name='__main__')\n"
    )
    command = serve_command("my_model:leaving")
    inside = [sys.executable, str(script), *command[3:]]
    process = Process(tmp_path, in_a_container(inside), spool_dir=tmp_path)
    try:
        process.wait_line("process 1$")
        answer = check_ok(exchange(process.address, POST, limit=LIMIT))
        left = re.search(rb'"left": (\d+)', answer.body)
        assert left
        (parent,) = children_of(process.popen.pid)

        def only_the_worker() -> bool:
            check_ok(exchange(process.address, PING))
            return len(children_of(parent)) == 1

        until(only_the_worker, "somebody's process is not reaped")
        os.kill(parent, signal.SIGTERM)
        assert process.wait(LIMIT) == 0
    finally:
        process.close()
