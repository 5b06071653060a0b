"""Headers that are walked through, beside pydicom."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from inference_gateway.results.headers import is_cut, is_dicom, read_header
from tests.dicom.objects import as_file, image

FOUND = get_testdata_file("CT_small.dcm", download=False)
FOLDER = Path(str(FOUND)).parent


def header_of(data: bytes) -> Any:
    return read_header(lambda size: data[:size])


def test_it_says_what_pydicom_says() -> None:
    seen = 0
    for path in FOLDER.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        header = header_of(data) if is_dicom(data[:132]) else None
        if header is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = pydicom.dcmread(path, stop_before_pixels=True)
            keywords = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
            uids = [str(told.get(keyword) or "") for keyword in keywords]
            frames = str(told.get("NumberOfFrames") or 1)
        assert [header.sop_class, header.image, header.study, header.series] == uids, path.name
        assert (header.rows, header.columns) == (told.get("Rows") or 0, told.get("Columns") or 0), path.name
        assert header.frames == (int(frames) if frames.isdigit() else 1), path.name
        seen += 1
    assert seen > 60


def nested(depth: int) -> Sequence:
    item = Dataset()
    item.CodeValue = "1"
    if depth:
        item.RelatedSeriesSequence = nested(depth - 1)
        item["RelatedSeriesSequence"].is_undefined_length = True
    item.is_undefined_length_sequence_item = True
    return Sequence([item])


@pytest.mark.parametrize("depth", [0, 3, 40])
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_sequences_on_the_way_are_stepped_over(depth: int, syntax: Any) -> None:
    made = image(np.zeros((4, 5), np.int16), SOPInstanceUID="1.9")
    made.ReferencedSeriesSequence = nested(depth)
    made["ReferencedSeriesSequence"].is_undefined_length = True
    made.PatientComments = "x" * 9000
    made.add_new(0x00091001, "OB", b"1" * 300_000)
    file = io.BytesIO()
    if syntax is None:
        made.save_as(file, enforce_file_format=True)
    else:
        made.file_meta.TransferSyntaxUID = syntax
        little = syntax.is_little_endian
        made.save_as(file, implicit_vr=syntax.is_implicit_VR, little_endian=little, enforce_file_format=True)
    header = header_of(file.getvalue())
    if depth > 16:
        assert header is None
    else:
        assert (header.image, header.series, header.rows, header.columns) == ("1.9", "1.2.3.4", 4, 5)


def test_a_header_that_never_ends_is_given_up() -> None:
    asked: list[int] = []
    start = as_file(image(np.zeros((4, 5), np.int16))).getvalue()[:300]

    def head(size: int) -> bytes:
        asked.append(size)
        endless = start + b"\x09\x00\x01\x10OB\x00\x00" + (1 << 30).to_bytes(4, "little")
        return (endless + bytes(size))[:size]

    assert read_header(head) is None
    assert max(asked) <= 1 << 20


@pytest.mark.parametrize("cut", range(128, 420, 7))
def test_a_cut_header_is_none_or_has_nothing_wrong(cut: int) -> None:
    whole = as_file(image(np.zeros((4, 5), np.int16), SOPInstanceUID="1.9")).getvalue()
    header = header_of(whole[:cut])
    assert header is None or header.image in ("", "1.9")


@pytest.mark.filterwarnings("ignore")  # of pydicom, about its own files
def test_whole_files_are_not_cut_and_cut_ones_are() -> None:
    seen = 0
    for path in FOLDER.rglob("*.dcm"):
        data = path.read_bytes()
        told = pydicom.dcmread(path, force=True) if is_dicom(data[:132]) else None
        if told is None or "truncated" in path.name:
            continue
        assert not is_cut(lambda size, data=data: data[:size], len(data)), path.name  # type: ignore[misc]
        pixels = told.get("PixelData")
        if header_of(data) is None or len(pixels or b"") < 100 or told["PixelData"].is_undefined_length:
            continue
        cut = data[: len(data) - len(pixels) // 2 - 2]
        assert is_cut(lambda size, cut=cut: cut[:size], len(cut)), path.name  # type: ignore[misc]
        seen += 1
    assert seen > 15
