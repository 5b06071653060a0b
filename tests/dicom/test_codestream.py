"""The size that a codestream says, of whatever kind."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from inference_gateway.dicom.codestream import CodestreamError, size_of


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0" + b"\xff\xc0" * 40}])
def test_the_size_of_a_jpeg_is_read(options: dict[str, object]) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((30, 41, 3), np.uint8)).save(file, "JPEG", **options)
    assert size_of(file.getvalue()) == (30, 41, 3)


@pytest.mark.parametrize("format", ["JPEG2000"])
@pytest.mark.parametrize("options", [{}, {"no_jp2": True}])
def test_the_size_of_a_jpeg_2000_is_read(format: str, options: dict[str, object]) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((30, 41), np.uint8)).save(file, format, **options)
    assert size_of(file.getvalue()) == (30, 41, 1)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "JPGExtended.dcm",
        "JPEG2000.dcm",
        "693_J2KI.dcm",
    ],
)
def test_it_is_that_of_the_image_around_it(name: str) -> None:
    dataset = dcmread(str(get_testdata_file(name, download=False)))
    codestream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    assert size_of(codestream) == (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)


def test_rle_has_no_size() -> None:
    assert size_of(struct.pack("<16L", 1, 64, *[0] * 14) + b"\xff\0") is None
    assert size_of(b"") is None


@pytest.mark.parametrize(
    "codestream",
    [
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0",
        b"\xff\xd8\xff\xe0\xff\xff",
        b"\xff\xd8\xff\xc0\0\x0b\x08\0\x01",
        b"\xff\x4f\xff\x51" + bytes(20),
    ],
)
def test_a_codestream_that_ends_before_its_size_is_an_error(codestream: bytes) -> None:
    with pytest.raises(CodestreamError, match="it ends before its size"):
        size_of(codestream)


def test_more_components_or_scans_than_a_picture_has_are_an_error() -> None:
    frame = b"\xff\xc2\0\x11\x08" + struct.pack(">HHB", 9, 9, 3) + bytes(9)
    assert size_of(b"\xff\xd8" + frame + b"\xff\xda" * 100) == (9, 9, 3)
    with pytest.raises(CodestreamError):
        size_of(b"\xff\xd8" + frame + b"\xff\xda" * 101)
    size = struct.pack(">HH8LH", 41, 0, 9, 9, 0, 0, 9, 9, 0, 0, 16384)
    with pytest.raises(CodestreamError):
        size_of(b"\xff\x4f\xff\x51" + size)
