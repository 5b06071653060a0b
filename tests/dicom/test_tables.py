"""Look-up tables as they stand in files: 8 to 16 bits an entry, packed or not, of either byte order."""

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from inference_gateway.dicom.tables import Table, read_table


def table(
    descriptor: list[int], data: Any, *, vr: str = "US", descriptor_vr: str = "US", **options: Any
) -> Table:
    dataset = Dataset()
    dataset.add_new("LUTDescriptor", descriptor_vr, descriptor)
    dataset.add_new("LUTData", vr, data)
    return read_table(dataset, "LUTDescriptor", "LUTData", **{"signed": False, **options})


@pytest.mark.parametrize("bits", range(8, 17))
def test_entries_may_have_8_to_16_bits(bits: int) -> None:
    most = 2**bits - 1
    found = table([3, 0, bits], [0, 1, most])
    assert found.bits == bits
    assert found.look_up(np.array([2, 0, 1])).tolist() == [most, 0, 1]


@pytest.mark.parametrize("bits", [0, 7, 17, 99])
def test_entries_of_other_bits_are_an_error(bits: int) -> None:
    with pytest.raises(ValueError, match=f"{bits} bits"):
        table([3, 0, bits], [0, 1, 2])


@pytest.mark.parametrize("data", [[7], [], None, b"", b"\1\2"])
def test_a_table_with_fewer_entries_than_it_says_is_an_error(data: Any) -> None:
    with pytest.raises(ValueError, match=r"of 9$"):
        table([9, 0, 16], data, vr="OW" if isinstance(data, bytes) else "US")


def test_a_descriptor_without_three_numbers_is_an_error() -> None:
    with pytest.raises(ValueError, match="not three numbers"):
        table([3, 0], [0, 1, 2])


@pytest.mark.parametrize(
    ("little", "data"), [(True, b"\x01\x02\x03\x04\x05\x00"), (False, b"\x02\x01\x04\x03\x00\x05")]
)
def test_entries_of_8_bits_may_be_packed_two_to_a_word(little: bool, data: bytes) -> None:
    found = table([5, 0, 8], data, vr="OW", little=little)
    assert found.entries.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("little", "data"), [(True, b"\x00\x01\x02\x00"), (False, b"\x01\x00\x00\x02")])
def test_words_are_in_the_byte_order_of_the_data_set(little: bool, data: bytes) -> None:
    assert table([2, 0, 16], data, vr="OW", little=little).entries.tolist() == [256, 2]


def test_entries_of_8_bits_that_fill_16_are_scaled_back() -> None:
    assert table([3, 0, 8], [0, 0x8080, 0xFFFF]).entries.tolist() == [0, 0x80, 0xFF]


def test_no_number_of_entries_means_65536() -> None:
    found = table([0, 0, 16], np.arange(65536, dtype="<u2").tobytes(), vr="OW")
    assert found.look_up(np.array([0, 40000, 65535])).tolist() == [0, 40000, 65535]


@pytest.mark.parametrize(
    ("first", "vr", "signed", "expected"),
    [(-5, "SS", True, -5), (65531, "US", True, -5), (65531, "US", False, 65531), (-5, "SS", False, 65531)],
)
def test_the_sign_of_the_first_value_is_that_of_the_pixels(
    first: int, vr: str, signed: bool, expected: int
) -> None:
    assert table([3, first, 8], [1, 2, 3], descriptor_vr=vr, signed=signed).first == expected


def test_values_outside_get_the_nearest_entry_and_fractions_are_rounded() -> None:
    found = table([3, 10, 8], [1, 2, 3])
    assert found.look_up(np.array([-1000, 9, 10, 11, 12, 70000])).tolist() == [1, 1, 1, 2, 3, 3]
    values = np.array([10.4, 10.6, np.nan, np.inf, -np.inf, 1e30], np.float32)
    assert found.look_up(values).tolist() == [1, 2, 1, 3, 1, 3]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([0, 3, 5, 6, 7, 1, 3, 10], [5, 6, 7, 8, 9, 10]),
        ([0, 2, 5, 6, 2, 1, 0, 0, 0, 2, 1, 2], [5, 6, 5, 6, 1, 2]),
    ],
)
def test_segments_are_expanded(segments: list[int], expected: list[int]) -> None:
    assert table([6, 0, 16], segments, segmented=True).entries.tolist() == expected


@pytest.mark.parametrize("segments", [[1, 3, 10], [7, 1, 1], [2, 1, 9, 9], [0, 9, 1]])
def test_damaged_segments_are_an_error(segments: list[int]) -> None:
    with pytest.raises(
        ValueError, match=r"segment of it is damaged|fewer entries than announced: [0-9] of 6"
    ):
        table([6, 0, 16], segments, segmented=True)
