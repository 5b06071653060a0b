"""Frames are found however their fragments are told apart (PS3.5 A.4)."""

import io
import struct

import pytest

from inference_gateway.dicom.fragments import Fragments
from inference_gateway.dicom.limits import LimitError

ITEM = b"\xfe\xff\x00\xe0"
JPEG = [b"a1a1", b"a2\xff\xd9", b"b1b1b1\xff\xd9\0\0", b"c1", b"c2", b"c3\xff\xd9"]
"""Three frames, the first of two fragments, the last of three."""
WHOLE = [b"".join(JPEG[:2]), JPEG[2], b"".join(JPEG[3:])]


def item(data: bytes) -> bytes:
    return ITEM + struct.pack("<L", len(data)) + data


def made(
    items: list[bytes], frames: int, table: bytes = b"", offsets: bytes = b"", end: bool = True
) -> Fragments:
    data = b"head" + item(table) + b"".join(map(item, items)) + b"\xfe\xff\xdd\xe0\0\0\0\0" * end
    file = io.BytesIO(data)
    file.seek(4)
    return Fragments(file, len(data) - 4, frames, offsets)


@pytest.mark.parametrize("end", [True, False])
def test_frames_are_read_in_any_order(end: bool) -> None:
    found = made([b"aa", b"bbbb", b"cc"], 3, end=end)
    found.check()
    assert [found.read(at) for at in (2, 0, 1, 2)] == [b"cc", b"aa", b"bbbb", b"cc"]
    with pytest.raises(IndexError):
        found.read(3)


def test_all_fragments_are_one_frame() -> None:
    assert made([b"aa", b"bb", b"cc"], 1).read(0) == b"aabbcc"


@pytest.mark.parametrize("extended", [True, False])
def test_a_table_says_where_frames_begin(extended: bool) -> None:
    starts = (0, 24, 42)
    table = struct.pack("<3L", *starts) if not extended else b""
    offsets = struct.pack("<3Q", *starts) if extended else b""
    pieces = [one.replace(b"\xff\xd9", b"..") for one in JPEG]
    found = made(pieces, 3, table, offsets)
    assert [found.read(at) for at in range(3)] == [one.replace(b"\xff\xd9", b"..") for one in WHOLE]


@pytest.mark.parametrize(
    "table", [b"", struct.pack("<3L", 0, 5, 42), struct.pack("<2L", 0, 24), b"\xff" * 12]
)
def test_without_a_table_that_fits_the_end_marker_ends_a_frame(table: bytes) -> None:
    found = made(JPEG, 3, table)
    assert [found.read(at) for at in range(3)] == WHOLE


def test_a_frame_that_does_not_begin_is_missed() -> None:
    with pytest.raises(LimitError, match="less pixel data than its header says"):
        made([b"aa", b"", b"cc"], 3).check()
    with pytest.raises(IndexError):
        made([b"aa", b"bb"], 3).read(2)


def test_fragments_are_counted() -> None:
    with pytest.raises(LimitError, match=r"^too many fragments for so little pixel data$"):
        made([b""] * 2500, 1)


def test_a_table_of_any_length_is_passed_over() -> None:
    found = made([b"aa", b"bb"], 2, bytes(400_000))
    assert found.read(1) == b"bb"


@pytest.mark.parametrize("data", [b"", b"\0" * 40, ITEM + b"\xff\xff\xff\xff" + b"x" * 20])
def test_what_are_no_items_have_no_frames(data: bytes) -> None:
    found = Fragments(io.BytesIO(data), len(data), 2)
    with pytest.raises(LimitError):
        found.check()
