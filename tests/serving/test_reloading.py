"""`serve --dev`: it starts again when a source changes, and shows its author what others do not see."""

import json
import logging
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner

from inference_gateway.cli import main
from inference_gateway.serving.reloading import only_here, serve_and_reload
from tests.harness.log import LogCapture
from tests.harness.process import Process, alive, descendants, serve_command
from tests.harness.raw import Answer, exchange, head
from tests.harness.serving import POST, Run, check_ok
from tests.harness.waiting import until

MODEL = """
import os, time
from pathlib import Path

class Model:
    def __call__(self, json_input, inputs, input_hash):
        return {"version": 1, "pid": os.getpid()}

def failing(json_input, inputs, input_hash):
    return {}[json_input]

def hanging(json_input, inputs, input_hash):
    Path("begun").touch()
    while True:
        time.sleep(1)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "my_model.py").write_text(MODEL)
    with ExitStack() as stack:

        def start(target: str, *options: str, **settings: object) -> Process:
            process = Process(tmp_path, serve_command(target, "--dev", *options), **settings)
            stack.callback(process.end)
            return process

        yield start


def asked(process: Process) -> Answer:
    answer = exchange(process.address, POST)
    assert answer is not None
    return answer


def json_of(answer: Answer) -> dict[str, object]:
    found = re.search(rb"\{.*\}", answer.body)
    assert found, answer.body
    return dict(json.loads(found[0]))


def starts(process: Process, count: int) -> None:
    """Until so many servers have been ready."""
    process.wait_log(lambda: process.log.count("the models are set up") >= count, f"start {count}")


def reports(process: Process) -> Path:
    """The folder of the last report, as the log tells it."""
    line = process.wait_line(r"the report of the last request: (file://\S+)")
    return Path(unquote(urlsplit(line[1]).path)).parent


@pytest.mark.slow
def test_a_changed_source_is_served(run: Run, tmp_path: Path) -> None:
    process = run("my_model:Model")
    starts(process, 1)
    before = json_of(check_ok(asked(process)))
    (tmp_path / "notes.txt").write_text("no source")
    (tmp_path / "my_model.py").write_text(MODEL.replace('"version": 1', '"version": 2'))
    process.wait_line(r"my_model\.py changed: starting again")
    process.wait_line("Finished server process")
    after = json_of(check_ok(asked(process)))  # it waits for the new one
    assert (before["version"], after["version"]) == (1, 2)
    assert before["pid"] != after["pid"]
    assert "notes.txt" not in process.log


@pytest.mark.slow
def test_two_changes_in_one_second_are_two(run: Run, tmp_path: Path) -> None:
    """Python's bytecode knows a source by its size and the second of its change."""
    source = tmp_path / "my_model.py"
    process = run("my_model:Model")
    starts(process, 1)
    assert list(tmp_path.glob("__pycache__/my_model.*.pyc"))
    times = source.stat()
    other = tmp_path / "other"
    other.write_text(MODEL.replace('"version": 1', '"version": 2'))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.rename(source)
    process.wait_line("Finished server process")
    assert json_of(check_ok(asked(process)))["version"] == 2


@pytest.mark.slow
def test_a_source_that_cannot_be_imported_is_waited_for(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my_model.py").write_text("def model(:\n")
    process = run("my_model:Model")
    process.wait_line("my_model cannot be imported")
    process.wait_line("the model does not run: it starts again when its source changes")
    assert "SyntaxError" in process.log
    (tmp_path / "my_model.py").write_text(MODEL)
    assert json_of(check_ok(asked(process)))["version"] == 1
    assert process.log.count("the model does not run") == 1


@pytest.mark.slow
def test_a_model_that_hangs_keeps_nobody_waiting(run: Run, tmp_path: Path) -> None:
    process = run("my_model:hanging")
    starts(process, 1)
    with socket.create_connection(process.address) as client:
        client.sendall(POST)
        until((tmp_path / "begun").exists)
        (tmp_path / "my_model.py").write_text(MODEL.replace("while True", "while False"))
        starts(process, 2)
    assert asked(process).status == 500  # it returns nothing now


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_the_answer_has_the_traceback(run: Run, tmp_path: Path, isolation: str) -> None:
    process = run("my_model:failing", "--isolation", isolation)
    starts(process, 1)
    answer = asked(process)
    problem = json.loads(answer.body)
    assert (answer.status, problem["status"]) == (500, 500)
    lines = problem["traceback"].splitlines()
    assert lines[-1] == "KeyError: 1"
    assert f'File "{tmp_path}/my_model.py"' in problem["traceback"]
    if isolation == "thread":  # only what the author has written
        assert "inference_gateway" not in problem["traceback"]


@pytest.mark.slow
def test_nothing_of_it_without_the_option(tmp_path: Path) -> None:
    (tmp_path / "my_model.py").write_text(MODEL)
    process = Process(tmp_path, serve_command("my_model:failing", "--reports", str(tmp_path)))
    try:
        problem = json.loads(asked(process).body)
        (tmp_path / "my_model.py").write_text(MODEL + "\n")
        assert "traceback" not in problem
        assert asked(process).status == 500
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.close()
    assert "report" not in process.log
    assert "changed" not in process.log
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_its_end_leaves_nothing(run: Run, number: signal.Signals) -> None:
    process = run("my_model:Model")
    starts(process, 1)
    folder = reports(process)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    children = descendants(process.popen.pid)
    assert children
    process.popen.send_signal(number)
    assert process.wait() == 0
    assert not folder.exists()
    until(lambda: not any(map(alive, children)))


@pytest.mark.slow
def test_a_child_ends_with_its_parent(run: Run) -> None:
    process = run("my_model:Model")
    starts(process, 1)
    children = descendants(process.popen.pid)
    folder = reports(process)
    process.popen.kill()
    process.wait()
    until(lambda: not any(map(alive, children)), "the end of the child")
    with suppress(FileNotFoundError):  # nobody is left to do it
        os.rmdir(folder)


@pytest.mark.slow
def test_it_says_that_it_is_for_this_machine_only(run: Run) -> None:
    process = run("my_model:Model")
    process.wait_line(r"running on http://127\.0\.0\.1:\d+, for this machine only \(--dev\)")
    process.wait_line("its answers show tracebacks of the model, which may hold what is of a patient")


@pytest.mark.slow
def test_an_application_that_is_no_gateway_is_served_and_said_to_be_none(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "from starlette.applications import Starlette\napp = Starlette()\n",
    )
    process = run("other:app")
    process.wait_line("this application is no Gateway: no tracebacks in its answers, and no reports")
    answer = exchange(process.address, head(((b"Connection", b"close"),), method=b"GET", target=b"/"))
    assert answer is not None
    assert answer.status == 404


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_others_reach_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_HOST", host)
    result = CliRunner().invoke(main, ["serve", "--dev", "my_model:model"])
    assert result.exit_code == 2
    assert f"others can reach {host}: leave out --host and GATEWAY_HOST" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("10.0.0.1", False)]
)
def test_where_only_this_machine_reaches_it(host: str, here: bool) -> None:
    assert only_here(host) is here


def test_several_workers_are_refused() -> None:
    """Before anything is set for the process."""
    before = logging.getLogger().handlers[:]
    result = CliRunner().invoke(main, ["serve", "--dev", "--workers", "2", "my_model:model"])
    assert result.exit_code == 2
    assert "--dev runs one process" in result.output
    assert logging.getLogger().handlers == before


@pytest.mark.slow
def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "inference_gateway.cli",
            "serve",
            "--dev",
            "--port",
            str(port),
            "a:b",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize("error", [OSError("no watches left"), RuntimeError("no watches left")])
def test_a_folder_that_cannot_be_watched(
    error: Exception, monkeypatch: pytest.MonkeyPatch, log: LogCapture
) -> None:
    def refuse(*paths: object, **options: object) -> Iterator[object]:
        raise error

    monkeypatch.setattr("watchfiles.watch", refuse)
    assert serve_and_reload(["a:b"], host="127.0.0.1", port=0, scheme="http") == 3
    assert "this folder cannot be watched (no watches left)" in log.text


@pytest.mark.slow
def test_a_missing_package_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ModuleNotFoundError('not here', name='watchfiles')")
    done = subprocess.run(
        [sys.executable, "-m", "inference_gateway.cli", "serve", "--dev", "my_model:model"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "serve --dev needs watchfiles: pip install 'dicom-inference-gateway[author]'" in done.stderr


@pytest.mark.slow
def test_what_is_installed_below_is_no_source_of_the_author(run: Run, tmp_path: Path) -> None:
    packages = tmp_path / "env" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    process = run("my_model:Model")
    starts(process, 1)
    (packages / "installed.py").write_text("")
    (tmp_path / "my_model.py").write_text(MODEL)
    changed = process.wait_line(r"inference_gateway: (.*) changed: starting again")
    assert changed[1] == "my_model.py"
