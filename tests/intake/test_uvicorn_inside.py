"""What is known of uvicorn's inside: that it is so, in every version that is allowed."""

import asyncio
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httptools
import pytest
import uvicorn
from packaging.requirements import Requirement
from packaging.version import Version
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from inference_gateway.errors import SetupFailed
from inference_gateway.intake import uvicorn_inside
from inference_gateway.intake.body import AsgiBody
from inference_gateway.intake.uvicorn_body import body_of
from inference_gateway.intake.uvicorn_inside import fresh_parser
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.harness.log import LogCapture
from tests.harness.process import uncovered
from tests.harness.raw import Connection, request

ROOT = Path(__file__).parents[2]


def test_a_fresh_parser_is_as_uvicorns_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this version of uvicorn has its parser let pass."""
    made: list[list[tuple[str, Any]]] = []

    class Noting:
        def __init__(self, protocol: Any) -> None:
            made.append([])

        def __getattr__(self, name: str) -> Any:
            return lambda **options: made[-1].append((name, options))

    monkeypatch.setattr(httptools, "HttpRequestParser", Noting)
    http = HttpToolsProtocol(
        uvicorn.Config(print, log_config=None), ServerState(), {}, asyncio.new_event_loop()
    )
    http.loop.close()
    fresh_parser(http)
    own, fresh = made
    assert own == fresh
    assert own


def missing_from_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(FlowControl, "pause_reading")


def missing_from_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    class Renamed:
        def __init__(self) -> None:
            self.message_arrived = None

    monkeypatch.setattr(httptools_impl, "RequestResponseCycle", Renamed)


@pytest.mark.parametrize("remove", [missing_from_flow, missing_from_cycle])
def test_a_uvicorn_that_has_changed_inside_is_left_alone(
    remove: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, log: LogCapture
) -> None:
    cycle: Any = object.__new__(httptools_impl.RequestResponseCycle)
    receive: Any = cycle.receive
    uvicorn_inside._is_known.cache_clear()
    try:
        assert uvicorn_inside.cycle_of(receive) is cycle
        uvicorn_inside._is_known.cache_clear()
        remove(monkeypatch)
        for _ in range(3):
            assert uvicorn_inside.cycle_of(receive) is None
            assert isinstance(body_of(receive, 5 << 20), AsgiBody)
        assert log.text.count("this uvicorn has changed inside") == 1
    finally:
        uvicorn_inside._is_known.cache_clear()


def test_every_name_is_there() -> None:
    assert uvicorn_inside._missing(uvicorn_inside._OF_BODIES) == []
    assert uvicorn_inside.missing_for_serve() == []


def test_serve_does_not_start_on_a_uvicorn_that_lacks_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(HttpToolsProtocol, "timeout_keep_alive_handler")
    with pytest.raises(SetupFailed, match=r"HttpToolsProtocol\.timeout_keep_alive_handler"):
        make_server(print)


# One write


class Writing:
    """A transport that notes what is written, and passes it on."""

    def __init__(self, transport: Any, written: list[bytes]) -> None:
        self._transport = transport
        self._written = written

    def write(self, data: bytes) -> None:
        self._written.append(bytes(data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.mark.parametrize(
    ("close", "chunked"), [(False, False), (True, False), (True, True)], ids=["kept", "closed", "chunked"]
)
def test_what_belongs_together_goes_out_by_one_write(serve: Serve, close: bool, chunked: bool) -> None:
    """As two sends would write it, a connection that is closed after it included."""
    written: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        cycle: Any = uvicorn_inside.cycle_of(send)
        cycle.transport = Writing(cycle.transport, written)
        headers = [
            *([(b"connection", b"close")] if close else []),
            *([] if chunked else [(b"content-length", b"3")]),
        ]
        await uvicorn_inside.send_together(
            send,
            {"type": "http.response.start", "status": 200, "headers": headers},
            {"type": "http.response.body", "body": b"abc"},
        )
        assert isinstance(cycle.transport, Writing)

    with Connection(serve(app).address) as connection:
        connection.send(request((), b""))
        answer = connection.read_answer()
    assert answer is not None
    assert (answer.status, answer.body, answer.chunked) == (200, b"abc", chunked)
    assert len(written) == 1


def test_nothing_is_written_to_a_client_that_has_gone() -> None:
    written: list[bytes] = []
    joined = uvicorn_inside._OneWrite(Writing(SimpleNamespace(is_closing=lambda: True), written))  # type: ignore[arg-type]
    joined.write(b"abc")
    joined.flush()
    assert written == []


def test_under_another_server_each_message_is_sent() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(uvicorn_inside.send_together(send, {"type": "a"}, {"type": "b"}))
    assert sent == [{"type": "a"}, {"type": "b"}]


# The oldest and the newest version of uvicorn that the metadata allows


def allowed_versions() -> list[str]:
    """Of those on the index, oldest first; skips the test where the index cannot be reached."""
    asked = pip("index", "versions", "uvicorn")
    listed = re.search(r"Available versions: (.*)", asked)
    assert listed, asked
    versions = sorted(map(Version, listed[1].split(", ")))
    return [str(each) for each in versions if requirement().specifier.contains(each)]


def requirement() -> Requirement:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (found,) = (each for each in metadata["project"]["dependencies"] if each.startswith("uvicorn"))
    return Requirement(found)


def pip(*arguments: str) -> str:
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check", "--retries", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if ended.returncode:
        pytest.skip(f"the package index cannot be reached: {ended.stderr.strip().splitlines()[-1:]}")
    return ended.stdout


def test_uvicorn_has_an_upper_bound() -> None:
    assert not requirement().specifier.contains("99.0")
    assert requirement().specifier.contains(uvicorn.__version__)


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, -1], ids=["oldest", "newest"])
def test_the_tests_of_bodies_and_connections_pass_with(which: int, tmp_path: Path) -> None:
    """A handful of each: whatever goes through what is private in uvicorn."""
    version = allowed_versions()[which]
    if version == uvicorn.__version__:
        pytest.skip("it is installed: the tests themselves run with it")
    pip("install", "--quiet", "--no-deps", "--target", str(tmp_path), f"uvicorn=={version}")
    chosen = (
        "as_it_is or (judged_alike and not asyncio) or fresh_parser or every_name or no_pipelining or follows"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-x", "-k", chosen]
    ended = subprocess.run(
        [*command, "tests/intake/test_uvicorn_body.py", __file__, "tests/serving/test_protocol.py"],
        cwd=ROOT,
        env={
            **uncovered(),
            "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))),
            "UVICORN_TRIED": version,
        },
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:]


@pytest.mark.skipif("UVICORN_TRIED" not in os.environ, reason="for the versions that are tried")
def test_every_name_is_there_in_the_version_that_is_tried() -> None:
    assert uvicorn.__version__ == os.environ["UVICORN_TRIED"]
