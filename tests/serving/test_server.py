"""The server's process: signals, drain, TLS, and what it says when it cannot start."""

import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from inference_gateway import Gateway, Settings
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.harness.process import LIMIT, Process, serve_command
from tests.harness.raw import Address, Connection, exchange, head, request
from tests.harness.serving import MESSAGE, PING, POST, TYPE, Run, check_ok
from tests.harness.waiting import until
from tests.harness.wire import check_problem, message, part

pytestmark = pytest.mark.slow

MODEL = """
import os
from pathlib import Path

def quick(json_input, inputs, input_hash):
    return {"k": "done"}

def held(json_input, inputs, input_hash):
    Path("begun").write_text("x")  # a pipe: both wait for the other end
    Path("go").read_text()
    return {"k": "done"}

def streaming(json_input, inputs, input_hash):
    def produce():
        yield b"first"
        held(None, None, None)
    return {"parts": [{"binary_type": "heatmap"}]}, [produce()]

class HeldWithTeardown:
    __call__ = staticmethod(held)
    def teardown(self):
        pass

class Ending:
    __call__ = staticmethod(quick)
    def teardown(self):
        print("the model has ended", flush=True, file=__import__("sys").stderr)

class HeldSetup:
    def setup(self):
        Path("begun").write_text("x")
        Path("go").read_text()
    __call__ = staticmethod(quick)
    def teardown(self):
        pass

class HeldTeardown:
    __call__ = staticmethod(quick)
    def teardown(self):
        Path("go").read_text()

class HungDisk:
    def setup(self):
        os.statvfs = lambda folder: Path("go").read_text()
    __call__ = staticmethod(quick)

class FailingSetup:
    def setup(self):
        raise ValueError("no weights here")
    __call__ = staticmethod(quick)

class ExitingSetup(FailingSetup):
    def setup(self):
        raise SystemExit("no weights here")

class EmptySetup(FailingSetup):
    def setup(self):
        next(iter(Path("no weights here").glob("*")))

def unhealthy():
    held(None, None, None)
    return "READY"

from inference_gateway import Gateway
many_hung = Gateway()
for number in range(10):
    many_hung.add_inference_route(f"/{number}", HeldTeardown)
sick = Gateway()
sick.add_inference_route("/", quick)
sick.add_healthcheck_route(unhealthy)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs `serve` for an object of `MODEL`; the folder has the pipes `begun` and `go`."""
    (tmp_path / "my_model.py").write_text(MODEL)
    os.mkfifo(tmp_path / "begun")
    os.mkfifo(tmp_path / "go")
    with ExitStack() as stack:

        def start(target: str, *options: str, **settings: object) -> Process:
            command = serve_command(target, *options)
            process = Process(tmp_path, command, **{"spool_dir": tmp_path, **settings})
            stack.callback(process.close)
            return process

        yield start


def let_go(folder: Path) -> None:
    (folder / "go").write_text("x")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_orderly(number: int, run: Run) -> None:
    process = run("my_model:Ending")
    check_ok(exchange(process.address, POST))
    process.popen.send_signal(number)
    assert process.wait() == 0
    assert "the model has ended" in process.log
    assert "Traceback" not in process.log


def test_a_request_in_flight_is_answered_after_the_signal(run: Run, tmp_path: Path) -> None:
    process = run("my_model:held")
    with Connection(process.address, limit=LIMIT) as connection, Connection(process.address) as idle:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        process.popen.send_signal(signal.SIGTERM)
        process.wait_closed()
        assert idle.rest() == b""
        let_go(tmp_path)
        answer = check_ok(connection.read_answer())
        assert b'"done"' in answer.body
    assert process.wait() == 0


def test_an_upload_in_flight_is_answered_after_the_signal(run: Run) -> None:
    process = run("my_model:quick")
    body = message(part(b"1"), part(bytes(3 * MESSAGE)))
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(head((*TYPE, (b"Content-Length", b"%d" % len(body)))), body[: 2 * MESSAGE])
        check_metric(process.address, b"gateway_uploads 1.0")
        process.popen.send_signal(signal.SIGTERM)
        process.wait_closed()
        connection.send(body[2 * MESSAGE :])
        answer = check_ok(connection.read_answer())
        assert answer.header("connection") == "close"
    assert process.wait() == 0


def test_a_refused_client_that_does_not_stop_holds_nobody_up(run: Run) -> None:
    process = run("my_model:quick", drain_timeout=0.3, max_body_bytes="1MiB")
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(head((*TYPE, (b"Content-Length", b"%d" % (2 * MESSAGE)))), bytes(MESSAGE))
        check_problem(connection.read_answer(), 413)
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "Traceback" not in process.log


def check_metric(address: Address, line: bytes) -> None:
    get = PING.replace(b"/ping", b"/metrics")
    until(lambda: line in check_ok(exchange(address, get)).body, line.decode())


@pytest.mark.setting("DRAIN_TIMEOUT")
@pytest.mark.parametrize("model", ["held", "HeldWithTeardown"])
def test_a_hung_model_is_cut_when_the_drain_is_over(model: str, run: Run, tmp_path: Path) -> None:
    """Once: the drain's time is for all of it, the model's teardown too."""
    process = run(f"my_model:{model}", drain_timeout=8)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        process.popen.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        answer = connection.read_answer()
        check_problem(answer, 503)
        assert answer is not None
        assert int(answer.header("retry-after") or "") >= 1
        assert process.wait() == 0
        assert 7.8 < time.monotonic() - begun < 15.7


def test_an_answer_on_its_way_is_cut_when_the_drain_is_over(run: Run, tmp_path: Path) -> None:
    process = run("my_model:streaming", drain_timeout=0.3)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        process.popen.send_signal(signal.SIGTERM)
        answer = connection.read_answer()
        assert answer is not None
        assert (answer.status, answer.whole) == (200, False)
        assert b"first" in answer.body
    assert process.wait() == 0


@pytest.mark.parametrize("model", ["held", "HeldWithTeardown"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(number: int, model: str, run: Run, tmp_path: Path) -> None:
    process = run(f"my_model:{model}", drain_timeout=100)
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(POST)
        (tmp_path / "begun").read_text()
        process.popen.send_signal(number)
        process.wait_closed()
        process.popen.send_signal(number)
        assert process.wait() == 0
        answer = connection.read_answer()
        assert answer is None or answer.status != 200


def test_a_second_signal_ends_it_while_a_model_is_torn_down(run: Run, tmp_path: Path) -> None:
    process = run("my_model:HeldSetup", drain_timeout=100)
    check_ok(exchange(process.address, PING))
    (tmp_path / "begun").read_text()
    process.popen.send_signal(signal.SIGTERM)
    process.wait_closed()
    process.wait_line("Waiting for application shutdown")
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def test_a_hung_disk_does_not_keep_the_process(run: Run) -> None:
    """Its thread is one that the interpreter would wait for."""
    process = run("my_model:HungDisk", drain_timeout=0.3)
    asked = PING.replace(b"/ping", b"/healthcheck")
    until(lambda: (answer := exchange(process.address, asked)) and answer.status != 503, "the model's setup")
    with Connection(process.address, limit=LIMIT) as connection:
        connection.send(head((*TYPE, (b"Content-Length", b"%d" % (2 * MESSAGE)))))
        check_metric(process.address, b"gateway_uploads 1.0")
        process.popen.send_signal(signal.SIGTERM)
        check_problem(connection.read_answer(), 503)
        assert process.wait() == 0


def test_a_hung_setup_does_not_keep_the_process(run: Run, tmp_path: Path) -> None:
    process = run("my_model:HeldSetup", drain_timeout=0.3)
    check_ok(exchange(process.address, PING))
    (tmp_path / "begun").read_text()
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def test_hung_teardowns_end_together(run: Run) -> None:
    """The drain's time is for all of them, not for each."""
    process = run("my_model:many_hung", drain_timeout=0.5)
    check_ok(exchange(process.address, PING))
    begun = time.monotonic()
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() - begun < 12
    assert process.log.count("teardown of model HeldTeardown took too long") == 10


def test_a_hung_health_check_does_not_keep_the_process(run: Run, tmp_path: Path) -> None:
    process = run("my_model:sick", drain_timeout=0.3)
    with Connection(process.address) as connection:
        connection.send(PING.replace(b"/ping", b"/healthcheck"))
        (tmp_path / "begun").read_text()
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait() == 0


@pytest.mark.wire("routes: failed setup")
@pytest.mark.parametrize("model", ["FailingSetup", "ExitingSetup", "EmptySetup"])
def test_a_setup_that_fails_ends_it(model: str, run: Run) -> None:
    process = run(f"my_model:{model}")
    assert process.wait() == 3
    assert f"setup of model my_model:{model} failed" in process.log
    assert "Traceback" in process.log


@pytest.mark.setting("SPOOL_DIR")
@pytest.mark.parametrize("kind", ["missing", "a file", "not writable"])
def test_a_spool_folder_that_cannot_be_used(kind: str, run: Run, tmp_path: Path) -> None:
    folder = {"missing": tmp_path / "none", "a file": tmp_path / "my_model.py", "not writable": Path("/proc")}
    process = run("my_model:quick", spool_dir=folder[kind])
    assert process.wait() == 3
    said = [line for line in process.lines if f"cannot write to the spool folder {folder[kind]}" in line]
    assert said
    assert "GATEWAY_SPOOL_DIR" in said[-1]


def test_a_port_that_is_taken(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = run("my_model:quick", "--port", str(taken.getsockname()[1]))
        assert process.wait() == 3
    assert "address already in use" in process.log


@pytest.mark.setting("LOG_FORMAT")
def test_the_log_as_json(run: Run) -> None:
    process = run("my_model:quick", log_format="json")
    answer = check_ok(exchange(process.address, POST))
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    lines = [json.loads(line) for line in process.lines]
    ours = [line for line in lines if line["otel.scope.name"] == "inference_gateway"]
    assert any(line.get("request_id") == answer.header("x-request-id") for line in ours)


PASSWORD = "of-the-locked-key"


class Certificates:
    """A CA, a server's certificate and a client's, in a folder; and a CA and a client of somebody else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for authority, names in (("ca", ("server", "client")), ("other-ca", ("stranger",))):
            ca = trustme.CA()
            ca.cert_pem.write_to_path(self.path(f"{authority}.pem"))
            for name in names:
                issued = ca.issue_cert("127.0.0.1")
                issued.cert_chain_pems[0].write_to_path(self.path(f"{name}.pem"))
                issued.private_key_pem.write_to_path(self.path(f"{name}.key"))
        key = load_pem_private_key((folder / "server.key").read_bytes(), None)
        locked = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())
        )
        (folder / "locked.key").write_bytes(locked)
        (folder / "both.pem").write_text(self.text("server.key") + self.text("server.pem"))

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def client(self, name: str | None = None) -> ssl.SSLContext:
        """What a client needs, with a certificate of its own where it has one."""
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        if name is not None:
            context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def secure_exchange(address: Address, context: ssl.SSLContext, body: bytes) -> bytes:
    """The whole answer; empty where the server ends the connection without one."""
    with (
        socket.create_connection(address, timeout=LIMIT) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        came = b""
        try:
            secure.sendall(request((*TYPE, (b"Connection", b"close")), body))
            while block := secure.recv(1 << 16):
                came += block
        except (ssl.SSLError, ConnectionError):
            return b""
        return came


def check_secure(address: Address, context: ssl.SSLContext) -> None:
    for body in (message(part(b"1")), message(part(b"1"), part(bytes(3 * MESSAGE)))):
        came = secure_exchange(address, context, body)
        assert came.startswith(b"HTTP/1.1 200 ")
        assert b'"done"' in came


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "options",
    [
        {"certfile": "server.pem", "keyfile": "server.key"},
        {"certfile": "both.pem"},
        {"certfile": "server.pem", "keyfile": "locked.key", "keyfile-password": PASSWORD},
    ],
    ids=["two files", "one file", "password"],
)
def test_tls(options: dict[str, str], workers: str, run: Run, certificates: Certificates) -> None:
    paths = {
        name: value if "password" in name else certificates.path(value) for name, value in options.items()
    }
    given = [f"--ssl-{name}={value}" for name, value in paths.items()]
    process = run("my_model:quick", "--workers", workers, *given)
    assert process.wait_line("running on https://")
    check_secure(process.address, certificates.client())
    with Connection(process.address) as connection:
        connection.send(PING)
        assert connection.rest() == b""
    process.popen.terminate()
    assert process.wait() == 0
    assert PASSWORD not in process.log


def test_a_password_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, run: Run, certificates: Certificates
) -> None:
    files = (
        "--ssl-certfile",
        certificates.path("server.pem"),
        "--ssl-keyfile",
        certificates.path("locked.key"),
    )
    process = run("my_model:quick", *files, ssl_keyfile_password=PASSWORD)
    check_secure(process.address, certificates.client())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_mutual_tls(workers: str, run: Run, certificates: Certificates) -> None:
    """Who has no certificate of the CA gets no answer."""
    files = {"certfile": "server.pem", "keyfile": "server.key", "ca-certs": "ca.pem"}
    given = [f"--ssl-{name}={certificates.path(value)}" for name, value in files.items()]
    process = run("my_model:quick", "--workers", workers, *given)
    check_secure(process.address, certificates.client("client"))
    for name in (None, "stranger"):
        try:
            came = secure_exchange(process.address, certificates.client(name), message(part(b"1")))
        except (ssl.SSLError, ConnectionError):
            came = b""
        assert came == b""
    check_secure(process.address, certificates.client("client"))
    process.wait_log(lambda: process.log.count("status 200") == 4, "four requests")
    process.popen.terminate()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keyfile": "server.key"}, "--ssl-certfile"),
        ({"ca-certs": "ca.pem"}, "--ssl-certfile"),
        ({"certfile": "none.pem"}, "none.pem"),
        ({"certfile": "server.pem"}, "cannot be used"),
        ({"certfile": "server.pem", "keyfile": "client.key"}, "cannot be used"),
        ({"certfile": "server.pem", "keyfile": "server.key", "ca-certs": "server.key"}, "cannot be used"),
    ],
)
def test_tls_options_that_do_not_fit(
    options: dict[str, str], says: str, run: Run, certificates: Certificates
) -> None:
    """Never a server without the TLS that was asked for."""
    given = [f"--ssl-{name}={certificates.path(value)}" for name, value in options.items()]
    process = run("my_model:quick", *given)
    assert process.wait() == 2
    assert says in process.log
    assert "Traceback" not in process.log


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"], ids=["silent", "part of a hello"])
def test_a_tls_handshake_has_the_headers_time(
    sent: bytes, loop: str, certificates: Certificates, serve: Serve, spool_dir: Path
) -> None:
    app = Gateway(settings=Settings(spool_dir=spool_dir, header_timeout=0.3))
    files = {"ssl_certfile": certificates.path("server.pem"), "ssl_keyfile": certificates.path("server.key")}
    running = serve(app, make_server(app, port=0, loop=loop, **files))
    with Connection(running.address, limit=LIMIT) as connection:  # half of asyncio's own limit
        connection.send(sent)
        connection.rest()
