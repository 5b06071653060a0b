"""What is sent: which files, in which frame, and how much of them is in memory."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from requests_toolbelt.multipart.decoder import MultipartDecoder

from inference_gateway.check.study import NoStudy, Study, Upload, make_study, read_study
from inference_gateway.demo.phantom import write_phantom
from tests.check.faulty import STUDY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_phantom(tmp_path / "b", slices=2, rows=8, columns=8)
    write_phantom(tmp_path / "a", slices=1, rows=8, columns=8, seed=1)
    (tmp_path / "a" / "notes.txt").write_text("not DICOM")
    (tmp_path / "empty").touch()
    return tmp_path


def test_a_folder_and_those_in_it(folder: Path) -> None:
    study = read_study(folder)
    assert [str(path.relative_to(folder)) for path in study.files if isinstance(path, Path)] == [
        *("a/slice-0001.dcm", "b/slice-0001.dcm", "b/slice-0002.dcm"),
    ]
    assert study.ignored == 2
    assert [head(132)[128:] for head in study.heads] == [b"DICM"] * 3


def test_one_file(folder: Path) -> None:
    path = folder / "b" / "slice-0002.dcm"
    study = read_study(path)
    assert study.files == (path,)


@pytest.mark.parametrize("name", ["empty", "a/notes.txt", "none"])
def test_nothing_to_send(folder: Path, name: str) -> None:
    (folder / "none").mkdir()
    with pytest.raises(NoStudy, match="no DICOM file"):
        read_study(folder / name)


def test_a_damaged_file_is_sent_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    study = read_study(tmp_path)
    assert len(study.files) == 1


def test_a_made_study() -> None:
    study = make_study()
    images = [pydicom.dcmread(io.BytesIO(data)) for data in study.files if isinstance(data, bytes)]
    assert len(images) == len(study.files) == 4
    assert [head(200) for head in study.heads] == [
        data[:200] for data in study.files if isinstance(data, bytes)
    ]
    assert images[0].Rows != images[0].Columns, "a model that mixes them up shows itself"


def test_without_pydicom(folder: Path) -> None:
    """A study of one's own can be sent."""
    code = """
import sys
from pathlib import Path
sys.modules["pydicom"] = None
from inference_gateway.check.study import NoStudy, make_study, read_study
study = read_study(Path(sys.argv[1]))
print(len(study.files))
try:
    make_study()
except NoStudy as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == "3"
    assert "pip install 'dicom-inference-gateway[dicom]'" in second


def test_the_request_is_read_back_as_it_was_meant(folder: Path) -> None:
    study = read_study(folder)
    upload = Upload({"a": 1}, study)
    body = b"".join(upload.blocks())
    headers = dict(upload.headers)
    assert headers["Content-Length"] == str(len(body)) == str(upload.size)
    bodies = [each.content for each in MultipartDecoder(body, headers["Content-Type"]).parts]
    assert bodies == [b'{"a": 1}', *(path.read_bytes() for path in study.files if isinstance(path, Path))]
    assert upload.input_hash == hashlib.sha256(b"".join(bodies)).hexdigest()


def test_files_are_read_in_blocks(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(5 << 20))
    upload = Upload({}, Study((tmp_path / "large",)))
    assert max(map(len, upload.blocks())) <= 1 << 20


def test_boundaries_are_fresh() -> None:
    assert Upload({}, STUDY()).boundary != Upload({}, STUDY()).boundary
