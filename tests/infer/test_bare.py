"""DICOM without a preamble is found, and sent with one."""

import zipfile
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from inference_gateway.dicom.limits import LimitError
from inference_gateway.infer.bare import is_bare, with_preamble
from inference_gateway.infer.gather import gather
from tests.dicom.objects import as_file, plane
from tests.infer.files import counts


def bare(*, implicit: bool, number: int = 1) -> bytes:
    """The elements of an image, and nothing before them."""
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, implicit
    dataset = dcmread(as_file(plane(number, SOPInstanceUID=f"1.9.{number}")))
    write_dataset(file, dataset)
    return file.getvalue()


def with_meta_only() -> bytes:
    return as_file(plane(1, SOPInstanceUID="1.9.1")).getvalue()[132:]


FORMS = {
    "implicit": bare(implicit=True),
    "explicit": bare(implicit=False),
    "meta information": with_meta_only(),
}


@pytest.mark.parametrize("form", FORMS)
def test_it_gets_a_preamble_and_stays_what_it_is(form: str, tmp_path: Path) -> None:
    (tmp_path / "bare").write_bytes(FORMS[form])
    assert is_bare(FORMS[form][:1024])
    with_preamble(tmp_path / "bare", tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    assert whole[128:132] == b"DICM"
    assert whole.endswith(FORMS[form])
    dataset = dcmread(tmp_path / "whole")
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == "1.9.1"
    assert (dataset.pixel_array == 1).all()


def test_more_elements_than_a_header_has_are_not_read(tmp_path: Path) -> None:
    elements = b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + b"\x08\0\x08\0CS\0\0" * 500_000
    (tmp_path / "bare").write_bytes(elements)
    assert is_bare(elements[:1024])
    with pytest.raises(LimitError):
        with_preamble(tmp_path / "bare", tmp_path / "whole")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x08\0\x05\0",
        bytes(400),
        b"text that is no DICOM at all" * 20,
        b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + b"\x10\0\x10\0PN" + bytes(40),
        b"\x08\0\x16\0\xff\xff\xff\xff" + bytes(60),
        b"\x10\0\x10\0PN\2\0ab\x10\0\x20\0LO\2\0ab" + bytes(20),
        as_file(plane(1)).getvalue()[:1024],
    ],
)
def test_what_is_none(head: bytes) -> None:
    assert not is_bare(head)


def test_it_is_gathered_beside_others(tmp_path: Path) -> None:
    study, workspace = tmp_path / "study", tmp_path / "workspace"
    study.mkdir()
    workspace.mkdir()
    for number, form in enumerate(FORMS):
        (study / str(number)).write_bytes(FORMS[form])
    with zipfile.ZipFile(study / "scan.zip", "w") as file:
        file.writestr("1", bare(implicit=True, number=2))
    cut = b"\x08\0\x05\0CS\x0a\0ISO_IR 100\x08\0\x08\0CS\2\0AB"  # no image: it lacks what says which
    (study / "zz").write_bytes(cut + bytes(30))
    found = gather([study], workspace)
    assert [dcmread(path).SOPInstanceUID for path in found.paths] == ["1.9.1", "1.9.1", "1.9.1", "1.9.2"]
    assert counts(found) == {"archives": 1, "damaged": 1}
