"""docs/models.md from its first line to its last, as a reader does it."""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inference_gateway.client import InferenceClient
from inference_gateway.demo.phantom import make_phantom, write_phantom
from inference_gateway.init.command import TEMPLATES
from tests.dicom.objects import as_file
from tests.harness.process import Process, serve_command

DOCUMENT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
SHELL = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_model_is_served_and_its_mask_drawn(tmp_path: Path) -> None:
    (tmp_path / "my_model.py").write_text(PYTHON[0])
    assert shlex.split(SHELL[0])[:2] == ["inference-gateway", "serve"]
    make, infer = map(shlex.split, SHELL[1].splitlines())
    assert make == ["inference-gateway", "sample", "study"]
    assert infer == ["inference-gateway", "infer", "study"]
    write_phantom(tmp_path / "study", slices=8, rows=64, columns=64)  # the same, smaller
    process = Process(tmp_path, serve_command(shlex.split(SHELL[0])[2]))
    try:
        host, port = process.address
        address = ["--url", f"http://{host}:{port}", "--output", "drawn"]
        command = [sys.executable, "-m", "inference_gateway", "infer", "study", *address]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=100)
        with InferenceClient(f"http://{host}:{port}").infer({}, [tmp_path / "study"]) as result:
            mask = result.elements[0].array()
    finally:
        process.close()
    assert list(tmp_path.glob("drawn/**/report.html"))
    values = make_phantom(slices=8, rows=64, columns=64).stored - 1024
    assert np.array_equal(mask.reshape(values.shape) > 0, (values > -950) & (values < -700))


def test_the_study_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    phantom = make_phantom(slices=6, rows=8, columns=8)
    inputs = [*map(as_file, phantom.datasets()), io.BytesIO(b"a note")]
    exec(PYTHON[1], {"inputs": inputs})
    first, apart, values, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("CT (6, 8, 8) 1 (40.0, ")
    assert (apart, values) == ("6 not a DICOM file", "(6, 8, 8) float32")


def test_every_name_of_the_table_is_there() -> None:
    pytest.importorskip("highdicom", reason="needs highdicom")
    from inference_gateway import study

    table = DOCUMENT.partition("| you have |")[2].partition("\n\n")[0]
    for call in {*re.findall(r"`(?:volume\.)?(\w+)\(", table)} - {"program"}:
        assert hasattr(study, call) or hasattr(study.Volume, call), call


@pytest.mark.slow
def test_its_test_passes(tmp_path: Path) -> None:
    (test,) = re.findall(r"^<!-- fixture -->\n```python\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    (tmp_path / "my_model.py").write_text(PYTHON[0])
    (tmp_path / "test_my_model.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_every_template_of_init_is_told() -> None:
    table = DOCUMENT.partition("| template |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)) == set(TEMPLATES)
