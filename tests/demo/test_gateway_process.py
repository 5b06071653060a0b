"""A process that lives as long as a block, whatever happens in the block."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inference_gateway.demo import gateway_process
from inference_gateway.demo.gateway_process import DemoError, free_port, running_gateway, serve_command

pytestmark = pytest.mark.slow

# A stand-in for the gateway: it answers every GET with its first argument, on the port that is its second.
STAND_IN = """
import http.server, signal, sys
answer, port = sys.argv[1].encode(), int(sys.argv[2])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if answer else 503)
        self.end_headers()
        self.wfile.write(answer)
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    processes: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            processes.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return processes


def stand_in(port: int, answer: str = "READY", *options: str) -> list[str]:
    return [sys.executable, "-c", STAND_IN, answer, str(port), *options]


def test_the_block_begins_when_the_gateway_is_ready_and_it_ends_with_the_block(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    port, log = free_port(), tmp_path / "log"
    with running_gateway(stand_in(port), port, log, 30):
        assert started[0].poll() is None
    assert started[0].poll() not in (None, 0)
    assert "listening" in log.read_text()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_it_ends_when_the_block_fails_or_is_interrupted(
    error: type[BaseException], tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    port = free_port()
    with pytest.raises(error), running_gateway(stand_in(port), port, tmp_path / "log", 30):
        raise error
    assert started[0].poll() is not None


def test_one_that_does_not_want_to_end_is_ended(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_process, "_GRACE", 0.1)
    port = free_port()
    with running_gateway(stand_in(port, "READY", "stubborn"), port, tmp_path / "log", 30):
        pass
    assert started[0].poll() == -9


def test_an_interrupt_while_it_ends_ends_it_at_once(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    wait = subprocess.Popen.wait

    def interrupted(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if timeout == gateway_process._GRACE:
            raise KeyboardInterrupt
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        running_gateway(stand_in(port, "READY", "stubborn"), port, tmp_path / "log", 30),
    ):
        pass
    assert started[0].wait() == -9


def test_one_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    script = "print('\\n'.join(map(str, range(100)))); raise SystemExit(3)"
    port = free_port()
    with (
        pytest.raises(DemoError) as caught,
        running_gateway([sys.executable, "-c", script], port, tmp_path / "log", 30),
    ):
        pytest.fail("it was never ready")
    lines = str(caught.value).splitlines()
    assert lines[0] == "the gateway ended with exit code 3."
    assert lines[1] == "  | The end of its log:"
    assert lines[2:] == [f"  | {number}" for number in range(85, 100)]


def test_one_that_dies_without_a_word_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(DemoError, match=r"exit code 0\. Its log is empty\."),
        running_gateway([sys.executable, "-c", ""], free_port(), tmp_path / "log", 30),
    ):
        pytest.fail("it was never ready")


@pytest.mark.parametrize("answer", ["", "STARTING"])
def test_one_that_is_never_ready_is_ended(
    answer: str, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    port = free_port()
    with (
        pytest.raises(DemoError, match=r"not ready after 0\.1 s: try again with a larger --start-limit"),
        running_gateway(stand_in(port, answer), port, tmp_path / "log", 0.1),
    ):
        pytest.fail("it was never ready")
    assert started[0].poll() is not None


def test_the_command_serves_an_embedded_model_with_this_python() -> None:
    assert serve_command("bounding-box", 8123) == [
        sys.executable,
        *("-m", "inference_gateway.cli", "serve", "demo:bounding-box", "--port", "8123"),
    ]
