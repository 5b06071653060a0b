"""What can be sent, in which order, and what is said of what cannot."""

import io
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from inference_gateway.client.inputs import Input, InputPart, files_in, input_parts
from inference_gateway.client.temporary import TemporarySpool
from tests.dicom.objects import image


@pytest.fixture
def spool() -> Iterator[TemporarySpool]:
    made = TemporarySpool()
    yield made
    made.close()


def bytes_of(part: InputPart) -> bytes:
    """What is sent, which is the same each time that it is asked for, and as long as was said."""
    first, again = (b"".join(map(bytes, part.element.blocks())) for _ in range(2))
    assert first == again
    assert len(first) == part.size
    return first


def sent(spool: TemporarySpool, *inputs: Input) -> list[bytes]:
    return [bytes_of(part) for part in input_parts(inputs, spool)]


class Once(io.RawIOBase):
    """A file that can be read only once, as a pipe."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(buffer)


def test_whatever_holds_bytes(spool: TemporarySpool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"on disk")
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        file.read(3)
        inputs: list[Any] = [
            *(path, str(path), file, mapped),
            *(io.BytesIO(b"in memory"), b"bytes", bytearray(b"more"), memoryview(b"a view"), b""),
            *(array, array.T, np.float64(1), np.zeros(0)),
            io.BufferedReader(Once(b"once")),
        ]
        assert sent(spool, *inputs) == [
            *[b"on disk"] * 4,
            *(b"in memory", b"bytes", b"more", b"a view", b""),
            *(array.tobytes(), array.T.tobytes(), np.float64(1).tobytes(), b""),
            b"once",
        ]


def test_a_folder_gives_its_files_in_order(spool: TemporarySpool, tmp_path: Path) -> None:
    for name in ("b/2", "b/10", "a", "c/d/e", ".hidden", "b/.hidden", ".git/config"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    assert sent(spool, tmp_path, b"x", str(tmp_path / "b")) == [
        *(b"a", b"b/10", b"b/2", b"c/d/e", b"a"),
        b"x",
        *(b"b/10", b"b/2"),
    ]
    assert [path.relative_to(tmp_path).as_posix() for path in files_in(tmp_path)] == [
        *("a", "b/10", "b/2", "c/d/e", "linked"),
    ]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_that_leads_out_of_a_folder_is_no_input(
    kind: str, spool: TemporarySpool, tmp_path: Path
) -> None:
    """Whoever wants what it leads to names it; a link within the folder adds nothing."""
    other = tmp_path / "other"
    (other / "b").mkdir(parents=True)
    (other / "b" / "1").write_text("of another patient")
    folder = tmp_path / "study"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "1").write_text("x")
    (folder / "again").symlink_to(folder / "a")
    assert sent(spool, folder) == [b"x"]
    (folder / "a" / "out").symlink_to(other / "b" / "1" if kind == "file" else other / "b")
    with pytest.raises(ValueError, match=r"links that lead out of it \(1\): give what they lead to"):
        input_parts([folder], spool)
    assert sent(spool, other / "b", folder / "a" / "out") == [b"of another patient"] * 2


def test_names_are_sent_only_where_they_are_given(spool: TemporarySpool, tmp_path: Path) -> None:
    (tmp_path / "Doe^John.dcm").write_bytes(b"x")
    inputs: list[Input] = [
        tmp_path,
        tmp_path / "Doe^John.dcm",
        ("a.nii", "application/x-nifti", tmp_path / "Doe^John.dcm"),
        ("b", None, b"y"),
    ]
    parts = input_parts(inputs, spool)
    assert [(part.filename, part.content_type) for part in parts] == [
        (None, "application/octet-stream"),
        (None, "application/octet-stream"),
        ("a.nii", "application/x-nifti"),
        ("b", "application/octet-stream"),
    ]


def test_a_data_set_is_encoded_as_a_file(spool: TemporarySpool) -> None:
    datasets = [image(np.full((2, 3), number, np.int16)) for number in (1, 2)]
    parts = input_parts([datasets[0], ("x", "application/x-mine", datasets[1])], spool)
    assert [part.content_type for part in parts] == ["application/dicom", "application/x-mine"]
    for part, dataset in zip(parts, datasets, strict=True):
        again = pydicom.dcmread(io.BytesIO(bytes_of(part)))
        assert again.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID
        assert again == dataset


def test_a_data_set_that_cannot_be_encoded(spool: TemporarySpool) -> None:
    dataset = pydicom.Dataset()
    dataset.PatientName = "Doe^John"  # and no SOP class
    with pytest.raises(ValueError, match="input 1: a Dataset cannot be encoded") as error:
        input_parts([b"", dataset], spool)
    assert "Doe" not in str(error.value)


def test_what_is_no_input(spool: TemporarySpool, tmp_path: Path) -> None:
    closed = io.BytesIO()
    closed.close()
    no_inputs: list[Any] = [
        *(None, 7, [b"a list"], {b"a set"}, {"a": b"mapping"}, iter([b"x"]), object()),
        *(io.StringIO("text"), closed, np.array([None])),
        *(("a", "b"), ("a", "b", b"c", "d"), (b"a", "b", b"c"), ("a", 1, b"c"), ("a", "b", None)),
        ("folder", None, tmp_path),
    ]
    for each in no_inputs:
        with pytest.raises(TypeError, match="input 1"):
            input_parts([b"", each], spool)


def test_paths_that_lead_nowhere(spool: TemporarySpool, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        input_parts([tmp_path / "none"], spool)
    with pytest.raises(ValueError, match="no file"):
        input_parts([tmp_path], spool)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TypeError, match="not a file"):
        input_parts([tmp_path / "pipe"], spool)


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: Any) -> Any:
        raise PermissionError(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError):
        files_in(tmp_path)


def test_inputs_are_a_list(spool: TemporarySpool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for one in ("study", tmp_path, b"bytes", np.zeros(3), io.BytesIO()):
        with pytest.raises(TypeError, match="give a list"):
            input_parts(one, spool)  # type: ignore[arg-type]  # on purpose
    assert len(input_parts(tmp_path.glob("*"), spool)) == 1
    assert input_parts((), spool) == []
