"""The README's minute: from an empty folder to an overlay of one's own model."""

import json
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inference_gateway.demo.phantom import make_phantom
from tests.harness.process import Process, serve_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
LIMIT = 300.0


def blocks() -> list[list[list[str]]]:
    """The two blocks of commands, as words."""
    section = (ROOT / "README.md").read_text().partition("\n## A model of your own in a minute\n")[2]
    found = re.findall(r"^```sh\n(.*?)^```$", section.partition("\n## ")[0], re.DOTALL | re.MULTILINE)
    return [[shlex.split(line) for line in block.splitlines()] for block in found]


def run(folder: Path, words: list[str]) -> None:
    assert words[0] == "inference-gateway"
    command = [sys.executable, "-m", "inference_gateway", *words[1:]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr


def spent() -> float:
    """Seconds of the processor that ended processes have taken: others' load is not in them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def mask_in(folder: Path) -> np.ndarray:
    (path,) = folder.glob("element-*.npy")
    return np.asarray(np.load(path))


def test_the_commands_lead_to_an_overlay_of_ones_own_model(tmp_path: Path) -> None:
    before = spent()
    (init, change, serve), (sample, infer) = blocks()
    run(tmp_path, init)
    assert change[0] == "cd"
    folder = tmp_path / change[1]
    assert serve[:3] == ["inference-gateway", "serve", "--dev"]
    process = Process(folder, [*serve_command(serve[3]), "--dev"])
    try:
        host, port = process.address
        process.wait_line("the models are set up")
        address = ["--url", f"http://{host}:{port}"]
        run(folder, sample)
        run(folder, [*infer, *address])
        output = folder / "output"
        lung = mask_in(output)

        model = (folder / "model.py").read_text()
        own = model.replace("(values > -950) & (values < -700)", "values > 300")
        assert own != model
        (folder / "model.py").write_text(own)
        process.wait_line("model.py changed: starting again")
        process.wait_log(lambda: process.log.count("the models are set up") == 2, "the second start")
        run(folder, [*infer, *address])
    finally:
        process.end()
    values = make_phantom().stored.astype(int) - 1024
    assert np.array_equal(lung.reshape(values.shape) > 0, (values > -950) & (values < -700))
    assert np.array_equal(mask_in(output).reshape(values.shape) > 0, values > 300)
    answer = json.loads((output / "response.json").read_text())
    assert answer["parts"][0]["binary_type"] == "boolean_mask"
    assert list(output.glob("series-*.png"))
    assert (output / "report.html").is_file()
    assert spent() - before < 60, "it takes less than a minute, and twice so much is done here"
