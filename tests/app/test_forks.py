"""What a model's child processes keep of the server: nothing, with `serve` and under plain uvicorn."""

import json
import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

import pytest
import trustme

from tests.harness.process import LIMIT, Process, serve_command
from tests.harness.raw import Answer, Connection, exchange, head, request
from tests.harness.serving import TYPE, check_ok
from tests.harness.waiting import until
from tests.harness.wire import decoded, message, part

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="a system that forks"),
]

MODEL = """
import ctypes, os, signal, socket

def fork(call=os.fork, begun=lambda: None):
    child = call()
    if child == 0:
        try:
            os.close(2)  # the log's end is for the test
            begun()
            while True:
                signal.pause()
        except KeyboardInterrupt:
            os._exit(130)
    open("child", "a").write(f"{child}\\n")
    return child

def fork_in_c():
    return ctypes.PyDLL(None).fork()  # Python does not hear of it

def answering(json_input, inputs, input_hash):
    return {"child": fork()}

def cutting(json_input, inputs, input_hash):
    fork()
    return cut()

def answering_in_c(json_input, inputs, input_hash):
    return {"child": fork(fork_in_c)}

def cutting_in_c(json_input, inputs, input_hash):
    fork(fork_in_c)
    return cut()

def cut():
    def produce():
        yield bytes(1000)
        raise RuntimeError("cut")
    return {"parts": [{"binary_type": "heatmap"}]}, [produce()]

def ending(json_input, inputs, input_hash):
    here, there = socket.socketpair()
    child = fork(begun=lambda: there.sendall(b"x"))
    if json_input == "SIGINT":  # an exception in the child, which has to be at the place for it
        here.recv(1)
    os.kill(child, getattr(signal, json_input))
    return {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}

class Own:
    "Has a connection of its own, and a listening socket of another kind."
    def setup(self):
        self.here, self.there = socket.socketpair()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    def __call__(self, json_input, inputs, input_hash):
        child = os.fork()
        if child == 0:
            self.there.sendall(b"from the child")
            os._exit(0)
        os.waitpid(child, 0)
        return {"got": self.here.recv(100).decode()}

def waiting(json_input, inputs, input_hash):
    with open("go") as end:  # another request, whose body rests in a file
        end.read()
    return {"size": len(inputs[0].read())}

def reading(json_input, inputs, input_hash):
    "Its child reads the body of its own request; it tells which files of the folder it has."
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if fd != str(0)
                 and os.path.exists(f"/proc/self/fd/{fd}")]
        files = sum(link.startswith(os.getcwd() + "/#") for link in links)
        there.sendall(f"{files} {len(inputs[0].read())}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    files, size = here.recv(100).split()
    return {"files": int(files), "size": int(size)}

from inference_gateway import Gateway
app = Gateway()
for model in (answering, cutting, ending, Own, waiting, reading):
    app.add_inference_route(f"/{model.__name__}", model)
"""

SERVERS: dict[str, Callable[[str], list[str]]] = {
    "serve": lambda name: serve_command(f"my_model:{name}", "--route", f"/{name}"),
    "supervised": lambda name: serve_command(f"my_model:{name}", "--route", f"/{name}", "--workers", "2"),
    "uvicorn": lambda name: [sys.executable, "-m", "uvicorn", "my_model:app", "--port", "0"],
}
READY = head(((b"Connection", b"close"),), method=b"GET", target=b"/healthcheck")


class Run(Protocol):
    def __call__(self, command: list[str], **settings: object) -> Process: ...


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "my_model.py").write_text(MODEL)
    with ExitStack() as stack:

        def start(command: list[str], **settings: object) -> Process:
            process = Process(tmp_path, command, **settings)
            stack.callback(process.close)
            if "--ssl-certfile" not in command:
                wait_ready(process)
            return process

        yield start
        for pid in (tmp_path / "child").read_text().split() if (tmp_path / "child").exists() else ():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def wait_ready(process: Process) -> None:
    def ready() -> bool:
        answer = exchange(process.address, READY)
        return answer is not None and answer.status == 200

    until(ready, "readiness")


def ask(process: Process, name: str, *headers: tuple[bytes, bytes], root: bytes = b"{}") -> Connection:
    connection = Connection(process.address, limit=LIMIT)
    connection.send(request((*TYPE, *headers), message(part(root)), target=f"/{name}".encode()))
    return connection


def told(answer: Answer | None, pattern: str) -> str:
    ((_, _, value), *_) = decoded(check_ok(answer))
    found = re.search(pattern, value.decode())
    assert found, value
    return found[1]


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() or not Path("/proc").is_dir()


@pytest.mark.parametrize("server", SERVERS)
def test_a_cut_answer_is_seen_at_once(server: str, run: Run) -> None:
    with ask(run(SERVERS[server]("cutting")), "cutting") as connection:
        answer = connection.read_answer()
        assert answer is not None
        assert not answer.whole
        assert connection.rest() == b""


@pytest.mark.parametrize("server", SERVERS)
def test_the_last_answer_ends_the_connection_and_the_server_its_port(server: str, run: Run) -> None:
    process = run(SERVERS[server]("answering"))
    address = process.address
    with ask(process, "answering", (b"Connection", b"close")) as connection:
        child = int(told(connection.read_answer(), r'"child": (\d+)'))
        assert connection.rest() == b""
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() in ((0,) if server != "uvicorn" else (0, -signal.SIGTERM))
    assert lives(child)
    socket.create_server(address).close()


@pytest.mark.parametrize("name", ["answering_in_c", "cutting_in_c"])
def test_a_fork_that_python_does_not_hear_of(name: str, run: Run) -> None:
    """`serve` shuts the connection down, whoever has a copy of it."""
    with ask(run(SERVERS["serve"](name)), name, (b"Connection", b"close")) as connection:
        answer = connection.read_answer()
        assert answer is not None
        assert answer.whole == (name == "answering_in_c")
        assert connection.rest() == b""


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("number", "ended"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_signal_ends_a_child_as_it_would_without_a_server(
    server: str, number: signal.Signals, ended: int, run: Run
) -> None:
    """`Process.terminate()` of multiprocessing is SIGTERM; a server's handler would only take note of it."""
    root = f'"{number.name}"'.encode()
    with ask(run(SERVERS[server]("ending")), "ending", root=root) as connection:
        assert int(told(connection.read_answer(), r'"status": (-?\d+)')) == ended


@pytest.mark.parametrize("server", SERVERS)
def test_a_child_keeps_what_is_the_models_own(server: str, run: Run) -> None:
    with ask(run(SERVERS[server]("Own")), "Own") as connection:
        assert told(connection.read_answer(), r'"got": "(.*)"') == "from the child"


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="a file without a name")
@pytest.mark.parametrize("memory", [0, 1 << 20], ids=["in a file", "in memory"])
def test_a_child_keeps_the_body_of_its_request_and_no_other(memory: int, run: Run, tmp_path: Path) -> None:
    """A file whose name is gone takes room on the disk until the last copy of its descriptor is closed."""
    os.mkfifo(tmp_path / "go")
    process = run(SERVERS["uvicorn"](""), spool_dir=tmp_path, spool_memory_bytes=memory)
    other = message(part(b"{}"), part(bytes(2 << 20)))
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(request(TYPE, other, target=b"/waiting"))
        with (tmp_path / "go").open("w"), Connection(process.address, limit=LIMIT) as forking:
            # The other's model has been called: it waits for the pipe's end.
            forking.send(request(TYPE, message(part(b"{}"), part(bytes(1000))), target=b"/reading"))
            value = told(forking.read_answer(), r"(\{.*\})")
        assert told(connection.read_answer(), r'"size": (\d+)') == str(2 << 20)
    assert json.loads(value) == {"files": int(memory == 0), "size": 1000}


@pytest.mark.parametrize("name", ["answering", "cutting"])
def test_under_tls(name: str, run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(key)
    for each in issued.cert_chain_pems:
        each.write_to_path(chain, append=True)
    process = run([*SERVERS["serve"](name), "--ssl-certfile", str(chain), "--ssl-keyfile", str(key)])
    context = ssl.create_default_context()
    authority.configure_trust(context)
    sent = request((*TYPE, (b"Connection", b"close")), message(part(b"{}")), target=f"/{name}".encode())

    def answer() -> bytes:
        came = over_tls(context, process, sent)
        return b"" if came.startswith(b"HTTP/1.1 503") else came  # being set up

    assert until(answer).startswith(b"HTTP/1.1 200")


def over_tls(context: ssl.SSLContext, process: Process, sent: bytes) -> bytes:
    """What came until the end of the connection."""
    came = b""
    with (
        socket.create_connection(process.address, LIMIT) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(sent)
        with suppress(ssl.SSLEOFError, ConnectionResetError):
            while more := connection.recv(1 << 16):
                came += more
    return came
