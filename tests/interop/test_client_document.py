"""The examples of docs/client.md and of the README's client section, run in order against a real gateway."""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.dicom.objects import as_file, image
from tests.harness.server import RunningServer

ROOT = Path(__file__).parent.parent.parent
ADDRESS = "http://127.0.0.1:8000"
PIXELS = np.arange(12, dtype=np.int16).reshape(3, 4)


def segment(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """A mask of the first input, and the input itself."""
    first = pydicom.dcmread(inputs[0])
    mask = (first.pixel_array > 5).astype(np.uint8) * 255
    shape = {"width": first.Columns, "height": first.Rows}
    parts = [
        {"binary_type": "probability_mask", "binary_data_shape": shape, "label": "bright"},
        {"binary_type": "dicom_secondary_capture"},
    ]
    return {"protocol_version": "1.0", "parts": parts}, [mask, inputs[0]]


@pytest.fixture
def running(serve: Serve, spool_dir: Path) -> RunningServer:
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", segment)
    return serve(app, make_server(app, port=0))


@pytest.fixture
def run(running: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Runs the Python blocks of a text beside a study, with the gateway's real port; how many they were."""
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "study").mkdir()
    for number in (1, 2):
        (tmp_path / "study" / f"{number}.dcm").write_bytes(as_file(image(PIXELS)).getvalue())
    host, port = running.address

    def examples(text: str) -> int:
        blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        names: dict[str, Any] = {"__name__": "document"}
        for block in blocks:
            exec(compile(block.replace(ADDRESS, f"http://{host}:{port}"), "example", "exec"), names)
        return len(blocks)

    return examples


def test_the_document(run: Callable[[str], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run((ROOT / "docs" / "client.md").read_text()) == 8
    printed = capsys.readouterr().out
    assert "bright application/binary 12" in printed
    assert "the model computes" in printed
    assert "404 Not Found" in printed
    saved = pydicom.dcmread(io.BytesIO((tmp_path / "capture.dcm").read_bytes()))
    np.testing.assert_array_equal(saved.pixel_array, PIXELS)


def test_the_readme(run: Callable[[str], int], capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text()
    section = text.partition("## Calling it")[2].partition("\n## ")[0]
    assert run(section) == 1
    assert "(3, 4)" in capsys.readouterr().out
