"""A fork in place of a new process: it is the command, and its end is told as that of a process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.forked import COMMAND, Forked, start

ENVIRONMENT = {**os.environ, "GATEWAY_SPOOL_DIR": "/nowhere"}


def test_it_is_the_command(tmp_path: Path) -> None:
    process = start(tmp_path, [*COMMAND, "serve", "absent:model"], ENVIRONMENT)
    assert isinstance(process, Forked)
    with process.stderr:
        said = process.stderr.read()
    code = process.wait()
    real = subprocess.run(
        [*COMMAND, "serve", "absent:model"], cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    assert (code, said) == (real.returncode, real.stderr)
    assert code == process.poll() == process.returncode != 0


def test_its_folder_and_environment_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "here.py").write_text(
        "import os, sys\nprint(os.getcwd(), os.environ, file=sys.stderr)\n1 / 0"
    )
    process = start(tmp_path, [*COMMAND, "serve", "here:model"], {"ONLY": "this", **python_of(ENVIRONMENT)})
    assert isinstance(process, Forked)
    with process.stderr:
        said = process.stderr.read()
    assert process.wait() != 0
    assert f"{tmp_path} environ({{'ONLY': 'this'" in said
    assert "GATEWAY_SPOOL_DIR" not in said
    assert "ZeroDivisionError" in said


def test_a_signal_that_ends_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text("import sys, time\nprint('here', file=sys.stderr)\ntime.sleep(100)")
    process = start(tmp_path, [*COMMAND, "serve", "held:model"], ENVIRONMENT)
    assert isinstance(process, Forked)
    with process.stderr:
        assert process.stderr.readline() == "here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    process.terminate()  # it is gone: nothing happens
    assert process.returncode == -signal.SIGKILL


def test_another_program_or_interpreter_is_a_process_of_its_own(tmp_path: Path) -> None:
    unlike = {**ENVIRONMENT, "PYTHONHASHSEED": "1"}
    for command, environment in (
        ([sys.executable, "-c", ""], ENVIRONMENT),
        ([*COMMAND, "--help"], unlike),
    ):
        process = start(tmp_path, command, environment)
        assert isinstance(process, subprocess.Popen)
        process.communicate()
        assert process.returncode == 0


def python_of(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LD_"))}
