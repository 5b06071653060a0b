"""README: the commands of its section on curl; its model, on every image that pydicom ships."""

import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file

from inference_gateway.execution.check import Contract, prepare
from inference_gateway.payload.contract import BINARY_TYPES
from inference_gateway.payload.part import Part
from inference_gateway.payload.spool import Spool
from inference_gateway.results.headers import is_dicom
from tests.harness.process import Process, serve_command
from tests.harness.raw import Answer
from tests.harness.wire import decoded

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LIMIT = 60.0


def commands() -> list[str]:
    section = (ROOT / "README.md").read_text().partition("\n## With curl\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Process]:
    """The gateway of the first block, on a free port."""
    program, command, target = shlex.split(commands()[0])
    assert (program, command) == (".venv/bin/inference-gateway", "serve")
    process = Process(tmp_path, serve_command(target))
    yield process
    process.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_line_gets_a_mask(gateway: Process, tmp_path: Path) -> None:
    _, command = commands()
    host, port = gateway.address
    for old, new in {"127.0.0.1:8000": f"{host}:{port}", ".venv/bin/python": sys.executable}.items():
        assert old in command
        command = command.replace(old, new)
    shown = command.replace("curl ", "curl --silent --show-error --noproxy '*' --include ")
    subprocess.run(["bash", "-euc", shown], cwd=tmp_path, check=True, timeout=LIMIT)
    head, _, body = (tmp_path / "answer.bin").read_bytes().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    found = re.search(rb"content-type: (.*)\r\n", head + b"\r\n", re.IGNORECASE)
    assert found
    answer = Answer(200, (("content-type", found[1].decode()),), body, True)
    assert [name for name, _, _ in decoded(answer)] == ["json-body", "elem_0", "hashes"]
    mask = decoded(answer)[1][2]
    assert len(mask) == 128 * 128
    assert set(mask) - {0}


# The example of a model


def model() -> Any:
    section = (ROOT / "README.md").read_text().partition("\n## Your model\n")[2]
    found = re.search(r"```python\n(# my_model.py\n.*?)```", section, re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(compile(found[1], "README.md", "exec"), names)
    return names["model"]


def decodable(path: Path) -> NDArray[Any] | None:
    """The pixels of a file, None where it has none or pydicom cannot decode them here."""
    try:
        return pydicom.dcmread(path).pixel_array
    except Exception:  # what pydicom raises for files that are damaged on purpose
        return None


def test_the_model_is_right_on_every_image_that_pydicom_ships(spool_dir: Path) -> None:
    """Colour, frames, compressed: a mask of (rows, columns) for each frame, and no fault in the answer."""
    kinds = set()
    found = get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(found, str)
    for path in Path(found).parent.rglob("*"):
        if not path.is_file() or not is_dicom(path.read_bytes()[:132]):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = decodable(path)
            header = pydicom.dcmread(path, stop_before_pixels=True)
            if pixels is None and "Rows" in header:
                continue
            spool = Spool(spool_dir, 64 << 20)
            spool.append(path.read_bytes())
            inputs = [Part(spool, 0, 0, spool.size)]
            try:
                result = model()({}, list(inputs), "")
                response = prepare(result, Contract(BINARY_TYPES, spool_dir, "warn"), inputs)
            finally:
                spool.release()
        assert (path.name, list(response.warnings)) == (path.name, [])
        if pixels is None:
            assert response.elements == []
            continue
        colour, frames = header.SamplesPerPixel > 1, int(header.get("NumberOfFrames") or 1)
        kinds.add((colour, frames > 1))
        grey = pixels.mean(axis=-1) if colour else pixels
        expected = (grey > grey.mean()).reshape(frames, header.Rows, header.Columns)
        masks = [b"".join(map(bytes, element.blocks())) for _, element in response.elements]
        assert masks == [(plane * np.uint8(255)).tobytes() for plane in expected]
    assert kinds == {(colour, frames) for colour in (False, True) for frames in (False, True)}
