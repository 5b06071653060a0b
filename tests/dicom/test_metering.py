"""A header is read as long as it is one."""

import io
import struct
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from inference_gateway.dicom.limits import LimitError
from inference_gateway.dicom.metering import Metered
from tests.dicom.objects import as_file, plane


def with_groups(frames: int, elements: int) -> bytes:
    """A file whose frames have so many elements each in functional groups of unknown length."""
    dataset = plane(1)
    dataset.NumberOfFrames = frames
    body = as_file(dataset).getvalue()
    at = body.index(b"\xe0\x7f\x10\x00")
    group = b"".join(b"\x09\0" + struct.pack("<H", 0x1000 + one) + b"US\2\0\1\0" for one in range(elements))
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + group + b"\xfe\xff\x0d\xe0\0\0\0\0"
    sequence = b"\x00\x52\x30\x92SQ\0\0\xff\xff\xff\xff" + item * frames + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return body[:at] + sequence + body[at:]


def test_what_frames_have_of_their_own_is_read() -> None:
    # 240,000 reads: more than an image of one frame may take.
    metered: Any = Metered(io.BytesIO(with_groups(frames=300, elements=400)))
    header = dcmread(metered, stop_before_pixels=True)
    assert len(header.PerFrameFunctionalGroupsSequence) == 300


def test_a_header_without_frames_ends_earlier() -> None:
    data = with_groups(frames=300, elements=400).replace(b"\x28\0\x08\0IS", b"\x28\0\x09\0IS")
    metered: Any = Metered(io.BytesIO(data))
    with pytest.raises((LimitError, OSError)):
        dcmread(metered, stop_before_pixels=True)
    with pytest.raises(LimitError, match="more elements or items in its header than an image has") as raised:
        metered.check()
    assert raised.value.is_object


@pytest.mark.parametrize(
    ("head", "value", "steps"),
    [
        (b"\x28\0\x08\0IS\x02\0", b"7 ", 7000),
        (b"\0\x28\0\x08IS\0\x02", b"9 ", 9000),
        (b"\x28\0\x08\0\x02\0\0\0", b"21", 21000),
        (b"\x28\0\x08\0IS\x02\0", b"x1", 0),
        (b"\x28\0\x08\0IS\xff\xff", b"21", 0),
    ],
)
def test_the_number_of_frames_is_read_in_every_encoding(head: bytes, value: bytes, steps: int) -> None:
    file = io.BytesIO(head + value)
    metered = Metered(file)
    metered.read(8)
    metered.read(2)
    for _ in range(200_000 + steps - 2):
        metered.read(1)
    with pytest.raises(LimitError):
        metered.read(1)


def test_items_of_a_long_value_count_when_it_is_converted() -> None:
    header = Dataset()
    header.add_new(0x00091001, "OB", b"\xfe\xff\x00\xe0\0\0\0\0" * 20_001)
    with pytest.raises(LimitError):
        Metered(io.BytesIO()).convert(header)
