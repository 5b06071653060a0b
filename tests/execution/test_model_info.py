"""What a model says it is: what may be said, and the digest of its weights as other programs make it."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import ModelInfo
from inference_gateway.errors import SetupFailed
from inference_gateway.execution.model_info import info_of, weights_digest
from tests.harness.wire import digest


def test_it_is_told_by_header_fields() -> None:
    assert ModelInfo("Lungs").headers == ((b"x-model-name", b"Lungs"),)
    whole = ModelInfo("Lungs, both", "1.2+cu13", "a" * 64)
    assert whole.headers == (
        (b"x-model-name", b"Lungs, both"),
        (b"x-model-version", b"1.2+cu13"),
        (b"x-model-digest", b"a" * 64),
    )
    assert whole.headers is whole.headers


@pytest.mark.parametrize("text", ["", " ", " a", "a ", "a\r\nb", "\u00e4", 201 * "a"])
def test_what_cannot_stand_in_a_header(text: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        ModelInfo(text)
    with pytest.raises(ValueError, match="visible ASCII"):
        ModelInfo("Lungs", text)


@pytest.mark.parametrize("text", ["", "a" * 63, "A" * 64, "sha256:" + 57 * "a"])
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hexadecimal digits"):
        ModelInfo("Lungs", digest=text)


def test_a_file(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights" * 100_000)
    info = ModelInfo("Lungs", weights=weights)
    assert info.needs_reading
    read = info.read()
    assert read.digest == digest(weights.read_bytes())
    assert not read.needs_reading
    assert read.read() is read


def test_a_folder_as_sha256sum_has_it(tmp_path: Path) -> None:
    for name in ("b/c.bin", "b/a.bin", "B.bin", "b.bin", "\u00e4/x y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("B.bin")
    told = "find -L * -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    done = subprocess.run(["sh", "-c", told], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert weights_digest(tmp_path) == done.stdout.split()[0]
    (tmp_path / "B.bin").rename(tmp_path / "C.bin")
    (tmp_path / "link").unlink()
    assert weights_digest(tmp_path) != done.stdout.split()[0]


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="the weights of Lungs cannot be read: No such file"):
        ModelInfo("Lungs", weights=tmp_path / "none").read()


def test_it_crosses_to_another_process() -> None:
    for info in (ModelInfo("Lungs"), ModelInfo("Lungs", "1", "a" * 64), ModelInfo("Lungs", weights="w")):
        assert ModelInfo.of_told(info.told()) == info
    assert ModelInfo.of_told(ModelInfo("Lungs", weights=Path("w")).told()) == ModelInfo("Lungs", weights="w")
    assert ModelInfo.of_told(None) is None


def test_what_a_model_has_of_that_name_for_itself() -> None:
    class Model:
        model_info: Any = "its own"

    assert info_of(Model()) is None
    assert info_of(print) is None
    Model.model_info = ModelInfo("Lungs")
    assert info_of(Model) == info_of(Model()) == ModelInfo("Lungs")
    assert os.fspath(ModelInfo("Lungs", weights="w").weights or "") == "w"
