"""How a file is read."""

import io

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian

from inference_gateway.dicom.limits import LimitError, Limits
from inference_gateway.dicom.sources import opened, pixel_bytes, read_dataset, transfer_syntax
from tests.dicom import hostile
from tests.dicom.objects import as_file, plane


def test_after_a_header_the_file_stands_where_the_pixel_data_begins() -> None:
    for file in (as_file(plane(1)), io.BytesIO(hostile.deflated(plane(1)))):
        with opened(file, Limits()) as source:
            header = read_dataset(source, header_only=True, tags=["Rows"])
            assert [element.keyword for element in header] == ["Rows"]
            assert pixel_bytes(source, transfer_syntax(header)) == 12
            assert source.read() == bytes([1, 0] * 6)


def test_no_pixel_data_is_none() -> None:
    dataset = plane(1)
    del dataset.PixelData
    file = as_file(dataset)
    header = read_dataset(file, header_only=True)
    assert pixel_bytes(file, transfer_syntax(header)) is None


def test_a_transfer_syntax_is_one_of_the_standard() -> None:
    header = dcmread(as_file(plane(1)))
    header.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert transfer_syntax(header) == ExplicitVRBigEndian
    header.file_meta.TransferSyntaxUID = CTImageStorage
    assert transfer_syntax(header) is None
    del header.file_meta.TransferSyntaxUID
    assert transfer_syntax(header) is None


def test_limits_hold_for_the_file() -> None:
    file = io.BytesIO(hostile.deflated(plane(1), 2))
    with opened(file, Limits(inflated_bytes=1 << 20)) as source, pytest.raises(LimitError):
        read_dataset(source, header_only=False)
