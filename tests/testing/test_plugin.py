"""The pytest plugin, as an author's tests have it; and that it costs nobody else anything."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

TESTS = """
import asyncio
from pathlib import Path

told = []

class Model:
    def setup(self):
        told.append("setup")

    def teardown(self):
        Path("torn_down").touch()

    def __call__(self, json_input, inputs, input_hash):
        told.append(json_input)
        return {"protocol_version": "1.0", "parts": [], "inputs": len(inputs)}

def test_one(run_model, sample_study):
    assert run_model(Model, sample_study).json["inputs"] == 12
    assert sorted(path.name for path in sample_study.iterdir())[0] == "slice-0001.dcm"

def test_two(run_model):
    assert run_model(Model, b"x", json_input=2).json["inputs"] == 1
    assert told == ["setup", {}, 2]

def test_with_other_options_it_is_another_one(run_model):
    run_model(Model, timeout=5)
    assert told == ["setup", {}, 2, "setup", {}]

def test_within_a_running_event_loop(run_model):
    async def main():
        return run_model(Model, b"x").json

    assert asyncio.run(main())["inputs"] == 1

def failing(json_input, inputs, input_hash):
    raise ValueError("own words")

def test_failing(run_model):
    run_model(failing)
"""


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.slow
def test_its_fixtures_are_there_and_a_model_is_set_up_once(tmp_path: Path) -> None:
    (tmp_path / "test_model.py").write_text(TESTS)
    done = run_pytest(tmp_path)
    assert "1 failed, 4 passed" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "torn_down").exists()
    assert "ValueError: own words" in done.stdout
    assert "asyncio/runners.py" not in done.stdout  # the author's code, and how it came to it


def test_pytest_is_told_of_it() -> None:
    (found,) = entry_points(group="pytest11", name="inference-gateway")
    assert found.value == "inference_gateway.testing.plugin"


@pytest.mark.slow
def test_who_does_not_use_it_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\n"
        "def test_nothing_is_loaded():\n"
        "    assert 'inference_gateway.testing.plugin' in sys.modules\n"
        "    ours = {name for name in sys.modules if name.startswith('inference_gateway')}\n"
        "    names = ('extras', 'testing', 'testing.plugin')\n"
        "    assert ours == {'inference_gateway', *(f'inference_gateway.{name}' for name in names)}\n"
        "    heavy = {'numpy', 'pydicom', 'httpx', 'starlette', 'pydantic', 'uvicorn'}\n"
        "    assert heavy & set(sys.modules) == set()\n"
    )
    others = [each for name in ("hypothesispytest", "xdist", "cov", "anyio") for each in ("-p", f"no:{name}")]
    done = run_pytest(tmp_path, *others)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
