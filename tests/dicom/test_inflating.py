"""A deflated file looks like a plain one, however it is read, and never comes to more than its limit."""

import io

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian

from inference_gateway.dicom.inflating import inflated
from inference_gateway.dicom.limits import LimitError
from tests.dicom import hostile
from tests.dicom.objects import as_file, plane


def test_a_deflated_file_reads_like_a_plain_one() -> None:
    path = str(get_testdata_file("image_dfl.dcm", download=False))
    expected = dcmread(path)
    with open(path, "rb") as file:
        found = dcmread(io.BytesIO(inflated(file, 1 << 30).read()))
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert found.PixelData == expected.PixelData
    assert [element.tag for element in found] == [element.tag for element in expected]


def test_it_is_read_in_any_order() -> None:
    deflated = io.BytesIO(hostile.deflated(plane(1), 1))
    whole = inflated(deflated, 1 << 30).read()
    file = inflated(deflated, 1 << 30)
    assert file.seek(0, io.SEEK_END) == len(whole) == file.tell()
    for at in (len(whole) - 9, 200_000, 3, 500_000, 0):
        assert file.seek(at) == at
        assert file.read(7) == whole[at : at + 7]
    assert file.seek(-7, io.SEEK_CUR) == 0


def test_it_ends_at_its_limit() -> None:
    deflated = io.BytesIO(hostile.deflated(plane(1), 40))
    assert len(deflated.getvalue()) < 100_000
    file = inflated(deflated, 1 << 20)
    assert len(file.read(1 << 20)) == 1 << 20
    with pytest.raises(LimitError, match=r"^a deflated data set of more than 1,048,576 bytes$"):
        file.read(1 << 20)
    with pytest.raises(LimitError):
        inflated(deflated, 1 << 20).seek(0, io.SEEK_END)


def test_a_deflated_file_that_is_cut_is_an_error() -> None:
    data = hostile.deflated(plane(1))
    with pytest.raises(EOFError):
        inflated(io.BytesIO(data[:-8]), 1 << 20).read()


@pytest.mark.parametrize("data", [b"", b"x" * 200, as_file(plane(1)).getvalue()])
def test_another_file_stays_what_it_is(data: bytes) -> None:
    file = io.BytesIO(data)
    assert inflated(file, 1) is file
    assert file.tell() == 0


def test_a_file_that_only_mentions_the_syntax_stays_what_it_is() -> None:
    file = as_file(plane(1, StudyInstanceUID="1.2.840.10008.1.2.1.99"))
    assert inflated(file, 1) is file
    assert file.tell() == 0
