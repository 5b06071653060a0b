"""The command line: its commands, its settings, and what is wrong with a call."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from inference_gateway import Settings
from inference_gateway.cli import main


def test_help_of_the_command() -> None:
    for option in ("--help", "-h"):
        result = CliRunner().invoke(main, [option])
        assert result.exit_code == 0
        for word in (
            "serve",
            "settings",
            "sample",
            "inference-gateway init my-model",
            "inference-gateway serve my_model:model",
        ):
            assert word in result.output


def test_version() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert re.search(r"\d+\.\d+\.\d+", result.output)


def test_settings_are_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its variable, its value now, and its unit and reason."""
    monkeypatch.setenv("GATEWAY_MAX_PARTS", "1234")
    result = CliRunner().invoke(main, ["settings"])
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.output.splitlines()}
    variables = {name: f"GATEWAY_{name.upper()}" for name in Settings.model_fields}
    variables["validation"] = "GATEWAY_VALIDATE"
    assert set(lines) == set(variables.values())
    assert lines["GATEWAY_MAX_PARTS"].split()[1] == "1234"
    for name, field in Settings.model_fields.items():
        assert field.description
        assert lines[variables[name]].endswith(field.description)


def test_a_switched_off_time_limit_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_MODEL_TIMEOUT", "0")
    result = CliRunner().invoke(main, ["settings"])
    (line,) = (line for line in result.output.splitlines() if line.startswith("GATEWAY_MODEL_TIMEOUT"))
    assert line.split()[1].lower() == "none"


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_MAX_PARTS", "many")
    monkeypatch.setenv("GATEWAY_IDLE_TIMEOUT", "-1")
    for arguments in (["settings"], ["serve", "my_model:model"]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert "GATEWAY_MAX_PARTS" in result.output
        assert "GATEWAY_IDLE_TIMEOUT" in result.output
        assert "Traceback" not in result.output


def test_the_installed_command(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("inference-gateway")
    done = subprocess.run([script, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "serve" in done.stdout


@pytest.mark.slow
def test_python_runs_the_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inference_gateway", "serve", "no_such_module:model"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Usage: python -m inference_gateway serve" in done.stderr
    assert "no module 'no_such_module'" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("serve",), ("serve", "a:b", "--port", "x"), ("nonsense",)])
def test_wrong_arguments(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2
    assert "Usage:" in result.output
