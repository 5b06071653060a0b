"""Values out of datasets that may be wrong."""

import pytest
from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from inference_gateway.dicom import attributes


def raw(keyword: str, vr: str, value: bytes) -> Dataset:
    """A data set with an element as it stands in a file, not converted yet."""
    tag = Tag(keyword)
    return Dataset({tag: RawDataElement(tag, vr, len(value), value, 0, False, True)})


@pytest.mark.parametrize(
    ("value", "count", "expected"),
    [
        (b"1\\2\\3", 3, (1.0, 2.0, 3.0)),
        (b"1\\2\\3", 2, (1.0, 2.0)),
        (b" 1.5e1 ", 1, (15.0,)),
        (b"1\\2", 3, None),
        (b"", 1, None),
        (b"1\\x\\3", 3, None),
        (b"1\\\\3", 3, None),
        (b"nan", 1, None),
        (b"1e999", 1, None),
    ],
)
def test_numbers_are_read_or_absent(value: bytes, count: int, expected: tuple[float, ...] | None) -> None:
    assert (
        attributes.numbers(raw("ImagePositionPatient", "DS", value), "ImagePositionPatient", count)
        == expected
    )


def test_absent_attributes_are_absent() -> None:
    empty = Dataset()
    assert attributes.text(empty, "Modality") == ""
    assert attributes.number(empty, "SliceThickness") is None
    assert attributes.integer(empty, "InstanceNumber") is None
    assert attributes.items(empty, "ModalityLUTSequence") == []


def test_a_value_that_pydicom_cannot_convert_is_absent() -> None:
    assert attributes.integer(raw("InstanceNumber", "ZZ", b"1"), "InstanceNumber") is None


def test_binary_numbers_are_read() -> None:
    assert attributes.integer(raw("Rows", "US", b"\x05\x01"), "Rows") == 0x105


def test_text_loses_its_padding() -> None:
    assert attributes.text(raw("SOPInstanceUID", "UI", b"1.2.3\0"), "SOPInstanceUID") == "1.2.3"
    assert attributes.text(raw("Modality", "CS", b"CT "), "Modality") == "CT"


def test_a_sequence_that_is_none_has_no_items() -> None:
    dataset = Dataset()
    dataset.add(DataElement("PerFrameFunctionalGroupsSequence", "LO", "ABC"))
    assert attributes.items(dataset, "PerFrameFunctionalGroupsSequence") == []


def group(sequence: str, keyword: str, value: float) -> Dataset:
    item, macro = Dataset(), Dataset()
    setattr(item, keyword, value)
    setattr(macro, sequence, [item])
    return macro


def test_the_frames_own_group_comes_before_the_shared_one_and_that_before_the_image() -> None:
    sequence, keyword = "PixelMeasuresSequence", "SliceThickness"
    dataset = Dataset()
    dataset.SliceThickness = 1

    def found(number: int) -> tuple[float, ...] | None:
        return attributes.frame_numbers(dataset, number, sequence, keyword, 1)

    assert found(1) == (1.0,)
    dataset.SharedFunctionalGroupsSequence = [group(sequence, keyword, 2)]
    assert found(1) == (2.0,)
    dataset.PerFrameFunctionalGroupsSequence = [Dataset(), group(sequence, keyword, 3)]
    assert [found(1), found(2), found(3)] == [(2.0,), (3.0,), (2.0,)]


def test_texts_are_all_values_without_padding() -> None:
    dataset = Dataset()
    assert attributes.texts(dataset, "ImageType") == ()
    dataset.ImageType = ["ORIGINAL", "PRIMARY ", "LOCALIZER"]
    dataset.Modality = "CT "
    dataset.Rows = 7
    assert attributes.texts(dataset, "ImageType") == ("ORIGINAL", "PRIMARY", "LOCALIZER")
    assert attributes.texts(dataset, "Modality") == ("CT",)
    assert attributes.texts(dataset, "Rows") == ("7",)
