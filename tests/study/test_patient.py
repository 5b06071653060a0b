"""What is made of an image belongs to its patient and its study, whatever these say."""

import warnings

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from inference_gateway.study.patient import TYPE_2, belong, keep_loss, patient_orientation, reference
from tests.dicom.objects import as_file
from tests.study.making import OBLIQUE, ct


def made_of(header: Dataset) -> Dataset:
    made = ct(1)[0]
    del made.StudyInstanceUID
    belong(made, header)
    return dcmread(as_file(made))


def test_names_are_written_in_utf_8_whatever_they_were_written_in() -> None:
    source = ct(1, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Änne", PatientID="17")[0]
    source.PatientBirthDate, source.StudyDate, source.StudyTime = "19700102", "20250101", "101112.5"
    made = made_of(dcmread(as_file(source)))
    assert (made.SpecificCharacterSet, str(made.PatientName)) == ("ISO_IR 192", "Müller^Änne")
    assert (made.PatientID, made.PatientBirthDate, made.StudyTime) == ("17", "19700102", "101112.5")
    assert made.StudyInstanceUID == "1.2.3"


def test_what_is_missing_is_empty_and_there() -> None:
    made = made_of(ct(1)[0])
    assert [keyword for keyword in TYPE_2 if keyword not in made or made[keyword].value] == []


def test_a_wrong_value_is_kept_but_for_the_uid_that_has_to_be_one() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = made_of(ct(1, StudyInstanceUID="not^a^uid", StudyDate="yesterday")[0])
        assert made.StudyDate == "yesterday"
    assert UID(made.StudyInstanceUID).is_valid


def test_loss_is_kept() -> None:
    source, made = ct(1)[0], Dataset()
    source.LossyImageCompression, source.LossyImageCompressionRatio = "01", 12.5
    keep_loss(made, source)
    assert (made.LossyImageCompression, made.LossyImageCompressionRatio) == ("01", 12.5)


def test_a_reference_needs_valid_uids() -> None:
    source = ct(1)[0]
    named = reference(source, 3)
    assert named is not None
    assert (named.ReferencedSOPInstanceUID, named.ReferencedFrameNumber) == (source.SOPInstanceUID, 3)
    del source.SOPInstanceUID
    assert reference(source) is None


@pytest.mark.parametrize(
    ("orientation", "ways"),
    [
        ((1, 0, 0, 0, 1, 0), ["L", "P"]),
        ((-1, 0, 0, 0, 1, 0), ["R", "P"]),
        ((1, 0, 0, 0, 0, -1), ["L", "F"]),
        ((0, 1, 0, 0, 0, -1), ["P", "F"]),
        (tuple(OBLIQUE), ["LHP", "RPH"]),
    ],
)
def test_where_rows_and_columns_go(orientation: tuple[float, ...], ways: list[str]) -> None:
    assert patient_orientation(orientation) == ways
    assert patient_orientation(None) is None
