"""How a file is read, from a path or from memory, with a preamble or without."""

import gc
import io

import numpy as np
import pytest

from inference_gateway.dicom.limits import LimitError, Limits
from inference_gateway.dicom.pixels import modality_values, read_frames
from inference_gateway.dicom.series import read_study
from inference_gateway.dicom.sources import opened, pixel_element, read_dataset
from tests.dicom import hostile
from tests.dicom.objects import as_file, image, plane


def test_after_a_header_the_file_stands_where_the_pixel_data_begins() -> None:
    for file in (as_file(plane(1)), io.BytesIO(hostile.deflated(plane(1)))):
        with opened(file, Limits()) as source:
            header = read_dataset(source, header_only=True, tags=["Rows"])
            assert [element.keyword for element in header] == ["Rows"]
            found = pixel_element(source, little=True)
            assert found is not None
            assert (found.vr, found.length) == ("OW", 12)
            source.seek(found.start)
            assert source.read() == bytes([1, 0] * 6)


def test_no_pixel_data_is_none() -> None:
    dataset = plane(1)
    del dataset.PixelData
    file = as_file(dataset)
    read_dataset(file, header_only=True)
    assert pixel_element(file, little=True) is None


def test_limits_hold_for_the_file() -> None:
    file = io.BytesIO(hostile.deflated(plane(1), 2))
    with opened(file, Limits(inflated_bytes=1 << 20)) as source, pytest.raises(LimitError):
        read_dataset(source, header_only=False)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_preamble_is_read(implicit: bool) -> None:
    dataset = image(np.arange(6, dtype=np.int16).reshape(2, 3))
    file = io.BytesIO()
    del dataset.file_meta
    dataset.save_as(file, implicit_vr=implicit, little_endian=True)
    study = read_study([io.BytesIO(file.getvalue())])
    assert not study.skipped
    (pixels,) = read_frames(study.series[0].stacks[0].frames)
    assert modality_values(pixels).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_reading_may_end_after_its_file_has_been_closed() -> None:
    """As where a model gives up in the middle of a study: what it held may live longer than the request."""
    dataset = image(np.arange(24, dtype=np.int16).reshape(4, 2, 3))
    file = as_file(dataset)
    frames = read_frames(read_study([file]).series[0].stacks[0].frames)
    next(frames)
    file.close()
    del frames  # an exception in here would be a warning, which fails the test
    gc.collect()
