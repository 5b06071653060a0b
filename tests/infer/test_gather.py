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

from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.series import read_study
from inference_gateway.infer.gather import GatherError, gather
from tests.infer.files import BROKEN_EXIF, counts, dicomdir, put


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


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


COMPRESSIONS = {
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
    "stored": zipfile.ZIP_STORED,
}
DAMAGES: dict[str, Callable[[bytearray, int, int], None]] = {
    "first byte": lambda data, start, size: data.__setitem__(start, data[start] ^ 0xFF),
    "middle": lambda data, start, size: data.__setitem__(
        slice(start + size // 2, start + size // 2 + 8), bytes(8)
    ),
    "last byte": lambda data, start, size: data.__setitem__(start + size - 1, data[start + size - 1] ^ 0xFF),
    "all of it": lambda data, start, size: data.__setitem__(slice(start, start + size), b"\xff" * size),
}


def put_archive(path: Path, folder: Path, compression: int) -> zipfile.ZipInfo:
    """Three scans in an archive; what is known of the one in the middle."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for z in range(3):
            file.write(put(folder / str(z), z), str(z))
        return file.infolist()[1]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_file_of_an_archive_ends_nothing(
    compression: str, damage: str, tmp_path: Path, workspace: Path
) -> None:
    archive = tmp_path / "scan.zip"
    member = put_archive(archive, tmp_path / "plain", COMPRESSIONS[compression])
    data = bytearray(archive.read_bytes())
    DAMAGES[damage](data, member.header_offset + 30 + len(member.filename), member.compress_size)
    archive.write_bytes(data)
    found = gather([archive], workspace)
    sent = [path.read_bytes() for path in found.paths]
    whole = [(tmp_path / "plain" / name).read_bytes() for name in ("0", "1", "2")]
    assert sent in (whole, [whole[0], whole[2]])  # some bytes of a packed file mean nothing
    assert len(sent) + found.damaged + found.other == 3  # other: without its first letters it is no DICOM
    assert sorted(workspace.iterdir()) == found.paths, "half a file is left"


@pytest.mark.parametrize("method", [1, 6, 9, 93, 95, 97, 98, 99])
def test_a_file_packed_in_an_unknown_way_ends_nothing(method: int, tmp_path: Path, workspace: Path) -> None:
    archive = tmp_path / "scan.zip"
    member = put_archive(archive, tmp_path / "plain", zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[at + 10] = data[member.header_offset + 8] = method
    archive.write_bytes(data)
    found = gather([archive], workspace)
    assert len(found.paths) == 2
    assert counts(found) == {"archives": 1, "damaged": 1}


@pytest.mark.parametrize("at", [4, 6, 14, 26, 28])
def test_a_header_of_an_archive_that_lies_ends_nothing(at: int, tmp_path: Path, workspace: Path) -> None:
    """Versions, flags, sums and lengths of the member in the middle."""
    archive = tmp_path / "scan.zip"
    member = put_archive(archive, tmp_path / "plain", zipfile.ZIP_DEFLATED)
    data = bytearray(archive.read_bytes())
    data[member.header_offset + at : member.header_offset + at + 2] = b"\xff\xff"
    archive.write_bytes(data)
    found = gather([archive], workspace)
    assert len(found.paths) + found.damaged == 3
    assert found.damaged <= 1


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A directory of tags: (tag, type, count, value or offset)."""
    tags = b"".join(
        tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + count.to_bytes(4, "little") + value
        for tag, kind, count, value in entries
    )
    return b"Exif\0\0II*\0\x08\0\0\0" + len(entries).to_bytes(2, "little") + tags + bytes(4)


BAD_EXIF = {
    "cut": exif((0x112, 3, 1, b"\6\0\0\0"))[:-8],
    "far away": exif((0x112, 3, 4000, b"\xff\xff\xff\x7f"), (0x11A, 5, 1, b"\xff\xff\xff\x7f")),
    "other type": exif((0x112, 2, 1, b"\6\0\0\0")),
    "many": exif((0x112, 3, 1, b"\6\0\0\0"), (0x112, 12, 0xFFFFFFFF, b"\xff" * 4)),
    "a width in letters": exif((0x100, 2, 2, b"x\0\0\0"), (0x112, 3, 1, b"\6\0\0\0")),
    "not even that": b"Exif\0\0II*\0",
    "nonsense": b"Exif\0\0" + b"\xff" * 40,
}


@pytest.mark.parametrize("bad", BAD_EXIF)
@pytest.mark.filterwarnings("ignore:.*EXIF", "ignore:Truncated File Read", "ignore:Metadata Warning")
def test_a_picture_with_bad_exif_ends_nothing(bad: str, tmp_path: Path, workspace: Path) -> None:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "1.jpg", exif=BAD_EXIF[bad])
    scan = put(tmp_path / "2.dcm")
    found = gather([tmp_path], workspace)
    assert scan in found.paths
    assert found.pictures + found.damaged == 1


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_damaged_picture_ends_nothing(format: str, tmp_path: Path, workspace: Path) -> None:
    """Wherever it is cut, and whatever its bytes become."""
    picture = tmp_path / "whole"
    pixels = np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(picture, format)
    data = picture.read_bytes()
    (tmp_path / "study").mkdir()
    cuts = [data[:at] for at in range(16, len(data), max(1, len(data) // 25))]
    noise = [data[:at] + b"\xff\x00\xff\xff" + data[at + 4 :] for at in range(8, 200, 8)]
    for number, damaged in enumerate([*cuts, *noise]):
        (tmp_path / "study" / str(number)).write_bytes(damaged)
    scan = put(tmp_path / "study" / "scan.dcm")
    found = gather([tmp_path / "study"], workspace)
    assert scan in found.paths
    refused = found.refused.total()  # those whose size became one that no picture has
    assert found.pictures + found.damaged + refused == len(cuts) + len(noise)
    assert found.damaged > 0


# Links


def test_a_link_out_of_a_folder_is_followed_only_where_asked_for(tmp_path: Path, workspace: Path) -> None:
    study, other = tmp_path / "study", tmp_path / "other"
    inside, file, folder = put(study / "a" / "1", 1), put(other / "2", 2), put(other / "b" / "3", 3)
    (study / "file").symlink_to(file)
    (study / "folder").symlink_to(folder.parent)
    (study / "round").symlink_to(study)
    (study / "same").symlink_to(inside)
    (study / "nowhere").symlink_to(tmp_path / "nowhere")
    found = gather([study], workspace)
    assert [path.resolve() for path in found.paths] == [inside]
    assert counts(found) == {"links": 2, "dangling": 1}
    found = gather([study], workspace, follow_links=True)
    assert sorted(path.resolve() for path in found.paths) == sorted([inside, file, folder])
    assert counts(found) == {"dangling": 1}
    named = gather([study / "file", study / "folder"], workspace)  # by whoever names it
    assert sorted(path.resolve() for path in named.paths) == [file, folder]
    assert counts(named) == {}


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
def test_a_file_that_cannot_be_read_ends_nothing_unless_it_was_named(tmp_path: Path, workspace: Path) -> None:
    scan = put(tmp_path / "1")
    (tmp_path / "2").symlink_to("/proc/self/mem")  # its first bytes give an error of the device
    found = gather([tmp_path], workspace, follow_links=True)
    assert found.paths == [scan]
    assert counts(found) == {"unreadable": 1}
    with pytest.raises(OSError, match="Input/output error"):
        gather([tmp_path / "2"], workspace)


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
