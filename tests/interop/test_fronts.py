"""A real gateway behind nginx and HAProxy, each with the file that `deploy/fronts` has for it."""

import http.client
import os
import re
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.harness.model import RecordingModel, reply_json
from tests.harness.process import Process
from tests.harness.raw import Address, Connection, chunked, exchange, head, request
from tests.harness.server import RunningServer
from tests.harness.wire import check_problem, check_reply, digest, message, part

pytestmark = pytest.mark.slow

FRONTS = Path(__file__).parents[2] / "deploy" / "fronts"
TYPE = (b"Content-Type", b"multipart/related; boundary=bnd")
BINARY = "application/binary"
ASKED = b'{"inference_command": "segment"}'
SMALL = message(part(ASKED), part(b"study"))
MIB = 1 << 20
LIMIT = 60.0
KEEP_ALIVE = 75.0
"""What the files ask to be set at the gateway."""

IDLE_LIMIT = {
    "nginx.conf": r"keepalive_timeout (\d+)s;",
    "haproxy.cfg": r"pool-purge-delay (\d+)s",
    "envoy.yaml": r"idle_timeout: (\d+)s  # 1 h by default",
    "Caddyfile": r"keepalive (\d+)s",
    "apache.conf": r"ttl=(\d+)",
    "traefik-routes.yaml": r"idleConnTimeout: (\d+)s",
}
"""How each front says for how long it keeps an idle connection to the gateway."""


@dataclass(frozen=True)
class Program:
    """How a front runs in the foreground, where its file says where, what it logs once it listens."""

    file: str
    arguments: tuple[str, ...]
    binds: str
    listens: str
    changes: Mapping[str, str] = field(default_factory=dict)


_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""nginx makes a folder for each, whether it needs it or not, where only root may."""

PROGRAMS = {
    "nginx": Program(
        "nginx.conf",
        ("-e", "stderr", "-g", "daemon off; pid {folder}/pid; error_log stderr notice;", "-c"),
        "listen 8080;",
        "start worker process ",
        {"http {": " ".join(("http {", *(f"{kind}_temp_path {{folder}}/{kind};" for kind in _TEMPORARY)))},
    ),
    "haproxy": Program("haproxy.cfg", ("-W", "-db", "-f"), "bind :8080", "Loading success"),
}


@pytest.fixture(params=list(PROGRAMS))
def name(request: pytest.FixtureRequest) -> str:
    """The command of a front that is installed."""
    if shutil.which(request.param) is None:
        pytest.skip(f"needs {request.param}, in Debian `apt-get install {request.param}`")
    return str(request.param)


def free_address() -> Address:
    """Return an address that nobody else asks for: each process has a loopback host of its own."""
    pid = os.getpid()
    host = f"127.{128 | pid >> 16 & 127}.{pid >> 8 & 255}.{pid & 255}"
    with closing(socket.socket()) as found:
        found.bind((host, 0))
        return host, found.getsockname()[1]


class Fronts:
    """Starts fronts before a gateway, and ends them."""

    def __init__(self, name: str, folder: Path) -> None:
        self._program, self._command, self._folder = PROGRAMS[name], name, folder
        self._running: list[Process] = []

    def before(self, gateway: Address, **changed: str) -> Address:
        """Run the front's file, with other addresses and what else is changed; return where it listens."""
        address = free_address()
        program = self._program
        text = (FRONTS / program.file).read_text()
        changes = {
            program.binds: program.binds.replace(":8080", "8080").replace("8080", "{}:{}".format(*address)),
            "127.0.0.1:8000": "{}:{}".format(*gateway),
            **program.changes,
            **changed,
        }
        for old, new in changes.items():
            assert old in text, f"{program.file} does not say {old!r}"
            text = text.replace(old, new.replace("{folder}", str(self._folder)))
        file = self._folder / program.file
        file.write_text(text)
        arguments = [each.format(folder=self._folder) for each in program.arguments]
        process = Process(self._folder, [self._command, *arguments, str(file)])
        self._running.append(process)
        process.wait_line(program.listens)
        return address

    def close(self) -> None:
        for process in self._running:
            process.popen.terminate()
            process.wait()
            process.close()


@pytest.fixture
def fronts(name: str, tmp_path: Path) -> Iterator[Fronts]:
    folder = tmp_path / name
    folder.mkdir()
    found = Fronts(name, folder)
    yield found
    found.close()


class Start:
    """Starts gateways with a model."""

    def __init__(self, serve: Serve, spool_dir: Path) -> None:
        self._serve, self._spool_dir = serve, spool_dir

    def __call__(self, model: Any, **settings: Any) -> RunningServer:
        app = Gateway(settings=Settings(spool_dir=self._spool_dir, keep_alive_timeout=KEEP_ALIVE, **settings))
        app.add_inference_route("/", model)
        app.add_healthcheck_route(lambda: "READY")
        return self._serve(app, make_server(app, port=0))


@pytest.fixture
def start(serve: Serve, spool_dir: Path) -> Start:
    return Start(serve, spool_dir)


@pytest.mark.parametrize("chunk", [0, 1 << 16], ids=["length", "chunked"])
def test_a_study_and_its_answer_go_through(fronts: Fronts, start: Start, chunk: int) -> None:
    address = fronts.before(start(RecordingModel()).address)
    study = os.urandom(8 * MIB)
    body = message(part(ASKED), part(study))
    answer = exchange(address, request((TYPE,), body, chunk=chunk), limit=LIMIT)
    check_reply(answer, reply_json(1), [(BINARY, study)], digest(ASKED, study))


@pytest.mark.parametrize("chunk", [0, MIB], ids=["declared", "chunked"])
def test_a_refusal_is_seen_by_a_client_that_is_still_sending(
    fronts: Fronts, start: Start, chunk: int
) -> None:
    address = fronts.before(start(RecordingModel(), max_body_bytes=MIB).address)
    body = message(part(ASKED), part(bytes(64 * MIB)))
    coding = (b"Transfer-Encoding", b"chunked") if chunk else (b"Content-Length", b"%d" % len(body))
    with Connection(address, limit=LIMIT) as connection:
        connection.send(head((TYPE, coding)))
        connection.send_until_closed(chunked(body, chunk) if chunk else [body])
        check_problem(connection.read_answer(), 413)


def failing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """An element that fails after 8 MiB."""

    def blocks() -> Iterator[bytes]:
        for _ in range(8):
            yield bytes(MIB)
        raise RuntimeError("the model fails in the middle of its answer")

    return reply_json(1), [blocks()]


def test_a_cut_answer_does_not_look_whole(fronts: Fronts, start: Start) -> None:
    address = fronts.before(start(failing).address)
    answer = exchange(address, request((TYPE,), SMALL), limit=LIMIT)
    assert answer is not None
    assert answer.status == 200
    assert not answer.whole


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset], ids=["closes", "resets"])
def test_a_client_that_leaves_is_noticed_while_the_model_computes(
    fronts: Fronts, start: Start, leave: Any
) -> None:
    begun, go = threading.Event(), threading.Event()

    def held(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        begun.set()
        go.wait(LIMIT)
        return {"protocol_version": "1.0", "parts": []}

    running = start(held)
    address = fronts.before(running.address)
    try:
        connection = Connection(address, limit=LIMIT)
        connection.send(request((TYPE,), SMALL))
        assert begun.wait(LIMIT)
        leave(connection)
        running.watched.wait_idle()  # the request has ended, and the model has not
    finally:
        go.set()


IDLE_SECOND = {
    "nginx": {"keepalive_timeout 60s": "keepalive_timeout 1s"},
    "haproxy": {"pool-purge-delay 5s": "pool-purge-delay 1s"},
}
"""What makes a front close its idle connections after a second."""


def test_the_front_closes_an_idle_connection(fronts: Fronts, name: str) -> None:
    """What stands in for the gateway would keep the connection for ever."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(LIMIT)
        with Connection(fronts.before(listener.getsockname(), **IDLE_SECOND[name]), limit=LIMIT) as client:
            client.send(request((TYPE,), SMALL))
            with closing(answered_post(listener)) as connection:
                answer = client.read_answer()
                assert answer is not None
                assert answer.body == b"OK"
                # The rest of the request, then the end; HAProxy resets.
                with suppress(ConnectionResetError):
                    while connection.recv(1 << 16):
                        pass


def answered_post(listener: socket.socket) -> socket.socket:
    """Answer what comes until a POST has come, and return its connection; HAProxy asks for health first."""
    while True:
        connection, _ = listener.accept()
        connection.settimeout(LIMIT)
        came = connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        if came.startswith(b"POST"):
            return connection
        connection.close()


def test_no_request_meets_a_connection_that_is_being_closed(fronts: Fronts, start: Start, name: str) -> None:
    """Requests come just when the front's connections have been idle for as long as it keeps them."""
    running = start(RecordingModel(), max_queue=64)
    address = fronts.before(running.address, **IDLE_SECOND[name])
    statuses: list[int | str] = []

    def ask(number: int) -> None:
        with closing(http.client.HTTPConnection(*address, timeout=LIMIT)) as client:
            for _ in range(3):
                try:
                    client.request("POST", "/", SMALL, {"Content-Type": "multipart/related; boundary=bnd"})
                    answer = client.getresponse()
                    answer.read()
                    statuses.append(answer.status)
                except (OSError, http.client.HTTPException) as error:
                    statuses.append(type(error).__name__)
                # Not a wait for something: the silence is what is tried.
                threading.Event().wait(0.99 + 0.002 * number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * LIMIT)
    assert Counter(statuses) == {200: 30}


@pytest.mark.parametrize("file", sorted(FRONTS.glob("*")), ids=lambda file: file.name)
def test_every_front_closes_its_connections_before_the_gateway_does(file: Path) -> None:
    text = file.read_text()
    if file.name != "traefik-routes.yaml":
        assert f"GATEWAY_KEEP_ALIVE_TIMEOUT={KEEP_ALIVE:.0f}" in text
    if file.name != "traefik.yaml":
        found = re.findall(IDLE_LIMIT[file.name], text)
        assert found
        assert all(int(seconds) < KEEP_ALIVE for seconds in found)


def test_the_document_leads_to_every_file() -> None:
    document = (FRONTS.parents[1] / "docs" / "operations.md").read_text()
    assert [file.name for file in FRONTS.glob("*") if f"(../deploy/fronts/{file.name})" not in document] == []
