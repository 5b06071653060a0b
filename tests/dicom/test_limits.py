"""What a header says of its size, against what the standard allows and what its bytes hold."""

from typing import Any

import numpy as np
import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from inference_gateway.dicom.limits import (
    Counts,
    LimitError,
    Limits,
    check_pixel_data,
    counts_of,
    most_frames,
)
from tests.dicom.objects import image


def counts(**attributes: Any) -> Counts:
    dataset = image(np.zeros((4, 6), np.int16))
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            dataset[keyword] = type(dataset[keyword])(dataset[keyword].tag, "SL", value)
    return counts_of(dataset)


def test_counts_are_what_the_header_says() -> None:
    assert counts() == Counts(rows=4, columns=6, frames=1, samples=1, bits=16)
    assert counts(SamplesPerPixel=3, BitsAllocated=1) == Counts(4, 6, 1, 3, 1)
    assert counts(Rows=None, SamplesPerPixel=None, BitsAllocated=None) == Counts(0, 6, 1, 1, 8)
    assert counts_of(image(np.zeros((1, 4, 6), np.int16), NumberOfFrames=1)).frames == 1


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "SamplesPerPixel", "BitsAllocated"])
@pytest.mark.parametrize("value", [-1, -(2**31), 65536, 2**31 - 1])
def test_a_count_that_the_standard_does_not_allow_is_named(keyword: str, value: int) -> None:
    with pytest.raises(LimitError, match=f"^a value of {keyword} that the standard does not allow$"):
        counts(**{keyword: value})


@pytest.mark.parametrize(
    ("syntax", "frames", "enough"),
    [
        (ExplicitVRLittleEndian, 1, 48),
        (ExplicitVRLittleEndian, 7, 336),
        (RLELossless, 7, 56),
        (JPEG2000Lossless, 100, 800),
        (None, 2, 16),
    ],
)
def test_pixel_data_must_hold_the_frames(syntax: UID | None, frames: int, enough: int) -> None:
    header = image(np.zeros((4, 6), np.int16))
    found = Counts(4, 6, frames, 1, 16)
    check_pixel_data(header, found, enough, syntax, Limits())
    with pytest.raises(LimitError, match=r"^less pixel data than its header says: "):
        check_pixel_data(header, found, enough - 1, syntax, Limits())


@pytest.mark.parametrize(
    ("syntax", "least"), [(RLELossless, (24_000_000 - 2**20) // 64), (JPEG2000Lossless, 5603)]
)
def test_compressed_pixels_are_no_more_than_their_bytes_can_be(syntax: UID, least: int) -> None:
    header, found = image(np.zeros((4, 6), np.uint8)), Counts(6000, 4000, 1, 1, 8)
    check_pixel_data(header, found, least + 1, syntax, Limits())
    with pytest.raises(LimitError, match="less pixel data"):
        check_pixel_data(header, found, least - 1, syntax, Limits())


def test_small_frames_are_counted() -> None:
    header, found = image(np.zeros((4, 6), np.uint8)), Counts(1, 1, most_frames(9999) + 1, 1, 1)
    with pytest.raises(LimitError, match=r"^too many frames for so little pixel data$"):
        check_pixel_data(header, found, 9999, ExplicitVRLittleEndian, Limits())
    check_pixel_data(header, found, 9999 + 64, ExplicitVRLittleEndian, Limits())


def test_the_limit_of_a_frame_is_what_it_is_set_to() -> None:
    Limits(frame_pixels=24).check_frame(4, 6)
    with pytest.raises(LimitError, match=r"^more than 23 pixels in one frame$") as raised:
        Limits(frame_pixels=23).check_frame(4, 6)
    assert raised.value.is_object
