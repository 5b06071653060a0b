"""Frames of every encoding, in any order, each decoded only if it is what its image says."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import JPEGBaseline8Bit

from inference_gateway.dicom.codestream import CodestreamError
from inference_gateway.dicom.decoding import decoded
from inference_gateway.dicom.sources import read_dataset
from tests.dicom.objects import as_file, image


@pytest.mark.parametrize(
    "name",
    [
        "rtdose.dcm",
        "rtdose_rle.dcm",
        "SC_rgb_rle_16bit_2frame.dcm",
        "JPEG2000.dcm",
    ],
)
def test_frames_are_what_they_are_one_after_the_other(name: str) -> None:
    path = get_testdata_file(name, download=False)
    expected = list(iter_pixels(str(path)))
    order = list(range(len(expected)))[::-1]
    with open(str(path), "rb") as file:
        header = read_dataset(file, header_only=True)
        file.seek(0)
        for index, found in zip(order, decoded(file, header, order), strict=True):
            np.testing.assert_array_equal(found, expected[index])


def jpeg(rows: int, columns: int, said: tuple[int, int]) -> tuple[io.BytesIO, Dataset]:
    """A file whose image says another size than its codestream."""
    codestream = io.BytesIO()
    Image.fromarray(np.full((rows, columns), 99, np.uint8)).save(codestream, "JPEG")
    dataset = image(np.zeros(said, np.uint8))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([codestream.getvalue()])
    file = as_file(dataset)
    return file, dcmread(file, stop_before_pixels=True)


def test_a_codestream_of_another_size_is_not_decoded() -> None:
    file, header = jpeg(16, 24, said=(16, 24))
    file.seek(0)
    assert next(decoded(file, header, [0])).shape == (16, 24)
    file, header = jpeg(4000, 4000, said=(16, 24))
    file.seek(0)
    with pytest.raises(CodestreamError, match="another size"):
        next(decoded(file, header, [0]))
