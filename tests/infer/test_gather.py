"""What is found in folders, archives, DICOMDIRs and files."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.series import read_study
from inference_gateway.infer.gather import Found, GatherError, gather
from tests.dicom.objects import as_file, plane
from tests.infer.test_pictures import BROKEN_EXIF


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


def put(path: Path, z: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_file(plane(z)).getvalue())
    return path


def counts(found: Found) -> dict[str, int]:
    return {key: value for key, value in vars(found).items() if key != "paths" and value}


def test_dicom_is_known_by_its_content_and_not_by_its_name(tmp_path: Path, workspace: Path) -> None:
    names = ("c.dcm", "b/scan.jpg", "b/x/IM0001")
    expected = [put(tmp_path / name) for name in names]
    (tmp_path / "a.dcm").write_text("no DICOM")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to(tmp_path / "c.dcm")
    seen: list[int] = []
    found = gather([tmp_path, tmp_path / "c.dcm"], workspace, seen=lambda: seen.append(1))
    assert found.paths == expected
    assert counts(found) == {"other": 2}
    assert len(seen) == 5
    assert list(workspace.iterdir()) == []


def test_the_result_folder_is_no_part_of_the_study(tmp_path: Path, workspace: Path) -> None:
    put(tmp_path / "output" / "element-000.dcm")
    expected = put(tmp_path / "scan.dcm")
    assert gather([tmp_path], workspace, tmp_path / "output").paths == [expected]


def test_files_of_archives_are_unpacked_by_number(tmp_path: Path, workspace: Path) -> None:
    first, second = put(tmp_path / "1", 1), put(tmp_path / "2", 2)
    archive = tmp_path / "study" / "scan.bin"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("folder")
        file.write(first, "../../escaped.dcm")
        file.write(second, "/folder/x")
        file.writestr("notes.txt", "no DICOM")
        file.writestr("DICOMDIR", "index")
    found = gather([archive.parent], workspace)
    assert [path.name for path in found.paths] == ["000000.dcm", "000001.dcm"]
    assert [path.parent for path in found.paths] == [workspace] * 2
    assert [path.read_bytes() for path in found.paths] == [first.read_bytes(), second.read_bytes()]
    assert counts(found) == {"archives": 1, "other": 1, "directories": 1}


@pytest.mark.parametrize("damage", [lambda data: data[:-30], lambda data: data.replace(b"DICM", b"DICX")])
def test_a_damaged_archive_is_counted(
    damage: Callable[[bytes], bytes], tmp_path: Path, workspace: Path
) -> None:
    """One that is cut, and one that has not the content that it says."""
    content = b"DICM" * 1000
    archive = tmp_path / "scan.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("1", bytes(128) + content)
    archive.write_bytes(damage(archive.read_bytes()))
    found = counts(gather([tmp_path], workspace))
    assert (found["archives"], found.get("damaged", 0) + found.get("other", 0)) == (1, 1)


def test_an_encrypted_archive_is_counted(tmp_path: Path, workspace: Path) -> None:
    archive = tmp_path / "scan.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("1", "secret")
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flag of encryption, of the member and in the list
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    assert counts(gather([tmp_path], workspace)) == {"archives": 1, "damaged": 1}


def test_without_room_nothing_is_unpacked(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "scan.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(put(tmp_path / "1"), "1")
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(GatherError, match="set TMPDIR to another"):
        gather([archive], workspace)


def dicomdir(folder: Path, *references: Any) -> Path:
    """A DICOMDIR with one record for each reference, and one without."""
    directory = Dataset()
    directory.DirectoryRecordSequence = [Dataset(), *(Dataset() for _ in references)]
    for record, reference in zip(directory.DirectoryRecordSequence[1:], references, strict=True):
        record.ReferencedFileID = reference
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder / "DICOMDIR"


@pytest.mark.filterwarnings("ignore:.*Invalid value for VR CS", "ignore:.*maximum length")
def test_a_dicomdir_names_its_files_and_none_elsewhere(tmp_path: Path, workspace: Path) -> None:
    disk = tmp_path / "disk"
    listed = [put(disk / "A" / "1"), put(disk / "b" / "two")]
    put(disk / "unlisted")
    put(tmp_path / "outside")
    directory = dicomdir(disk, ["A", "1"], ["B", "TWO"], ["A", "9"], ["..", "outside"], "A\0B", ["x" * 300])
    found = gather([directory], workspace)
    assert found.paths == listed
    assert counts(found) == {"directories": 1, "missing": 4}
    assert len(gather([disk], workspace).paths) == 3


def test_a_real_dicomdir_is_read(workspace: Path) -> None:
    directory = get_testdata_file("DICOMDIR", download=False)
    assert isinstance(directory, str)
    found = gather([Path(directory)], workspace)
    assert len(found.paths) + found.missing == 31


def test_a_damaged_dicomdir_is_an_error_with_what_to_do(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "DICOMDIR").write_text("index")
    with pytest.raises(GatherError, match="name its folder instead"):
        gather([tmp_path / "DICOMDIR"], workspace)


PICTURES: dict[str, tuple[Any, str]] = {
    "grey": (np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, "PNG"),
    "grey of 16 bits": (np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000, "PNG"),
    "RGB": (np.arange(36, dtype=np.uint8).reshape(3, 4, 3) * 7, "PNG"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_become_images(kind: str, tmp_path: Path, workspace: Path) -> None:
    values, form = PICTURES[kind]
    Image.fromarray(values).save(tmp_path / "picture", form)
    found = gather([tmp_path], workspace)
    assert counts(found) == {"pictures": 1}
    (instance,) = read_study(found.paths).instances
    made = dcmread(found.paths[0])
    assert np.array_equal(made.pixel_array, values)
    assert made.SOPClassUID.name == "Secondary Capture Image Storage"
    again = gather([tmp_path], workspace)
    assert dcmread(again.paths[0]).SOPInstanceUID == instance.sop_instance_uid
    assert again.paths != found.paths


def test_pictures_of_one_study_are_one_series_in_order(tmp_path: Path, workspace: Path) -> None:
    for number in (2, 1, 3):
        Image.fromarray(np.full((4, 5, 3), number * 50, np.uint8)).save(
            tmp_path / f"{number}.jpg", quality=100
        )
    with zipfile.ZipFile(tmp_path / "4.zip", "w") as file:
        Image.fromarray(np.full((4, 5), 200, np.uint8)).save(tmp_path / "4", "PNG")
        file.write(tmp_path / "4", "4")
    (tmp_path / "4").unlink()
    found = gather([tmp_path], workspace)
    (series,) = read_study(found.paths).series
    (stack,) = series.stacks
    values = [int(frame.instance.read().pixel_array[0, 0]) for frame in stack.frames]
    assert values == pytest.approx([50, 100, 150, 200], abs=2)


def test_pictures_that_are_damaged_or_too_large_are_counted(tmp_path: Path, workspace: Path) -> None:
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:40])
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "exif.jpg", exif=BROKEN_EXIF)
    found = gather([tmp_path], workspace)
    assert (found.pictures, found.damaged, len(found.paths)) == (1, 2, 1)
    found = gather([tmp_path], workspace, limits=Limits(frame_pixels=1199))
    assert (found.pictures, found.damaged) == (0, 1)
    assert found.refused == {"more than 1,199 pixels in one frame": 2}
