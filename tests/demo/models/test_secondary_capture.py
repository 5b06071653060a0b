import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_charset_files
from pydicom.uid import SecondaryCaptureImageStorage

from inference_gateway.demo.models.secondary_capture import secondary_capture
from inference_gateway.dicom.overlay import COLORS
from tests.demo.study import PHANTOM, files
from tests.dicom.objects import as_file, image, plane

# Attributes of type 1 and 2 of the Secondary Capture Image IOD (PS3.3 A.8.1) that are needed here.
TYPE_1 = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "ConversionType",
)
TYPE_2 = """PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID SeriesNumber
    InstanceNumber ReferringPhysicianName AccessionNumber"""


def captured(*sources: io.BytesIO) -> list[Dataset]:
    """The captures as a reader of their files sees them."""
    _, elements = secondary_capture(None, sources, "")
    return [dcmread(as_file(element)) for element in elements]


def test_a_capture_is_a_valid_object_of_the_same_patient_and_study() -> None:
    (capture,) = captured(*files())
    source = next(iter(PHANTOM.datasets()))
    assert [keyword for keyword in TYPE_1 if not capture.get(keyword)] == []
    assert [keyword for keyword in TYPE_2.split() if keyword not in capture] == []
    assert capture.SOPClassUID == capture.file_meta.MediaStorageSOPClassUID == SecondaryCaptureImageStorage
    assert capture.SOPInstanceUID == capture.file_meta.MediaStorageSOPInstanceUID
    for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "StudyDate", "AccessionNumber"):
        assert capture[keyword].value == source[keyword].value
    assert capture.SeriesInstanceUID != source.SeriesInstanceUID
    truth = {
        dataset.SOPInstanceUID: lesion
        for dataset, lesion in zip(PHANTOM.datasets(), PHANTOM.lesion, strict=True)
    }
    shown = truth[capture.SourceImageSequence[0].ReferencedSOPInstanceUID]
    assert shown.sum() > 0.95 * PHANTOM.lesion.sum(axis=(1, 2)).max()


def test_the_overlay_is_in_the_pixels_where_the_lesion_is() -> None:
    (capture,) = captured(*files())
    pixels = capture.pixel_array
    assert pixels.shape == (512, 512, 3)
    colored = (pixels.max(axis=2).astype(int) - pixels.min(axis=2)) > 20
    lesions = {
        one.SOPInstanceUID: lesion for one, lesion in zip(PHANTOM.datasets(), PHANTOM.lesion, strict=True)
    }
    truth = lesions[capture.SourceImageSequence[0].ReferencedSOPInstanceUID].repeat(4, 0).repeat(4, 1)
    colored[:40, :200] = False  # the label
    assert 2 * (colored & truth).sum() / (colored.sum() + truth.sum()) > 0.9
    contour = (pixels == COLORS[0]).all(axis=2)
    assert contour[100:].any()
    grey = pixels[400:, :, 0] == pixels[400:, :, 2]
    assert grey.all()


def test_every_capture_is_new_and_those_of_a_study_share_a_series() -> None:
    sources = [plane(0), plane(0, SeriesInstanceUID="1.8"), plane(0, StudyInstanceUID="1.6")]
    first, second = (captured(*map(as_file, sources)) for _ in range(2))
    for captures in (first, second):
        assert [capture.StudyInstanceUID for capture in captures] == ["1.2.3", "1.2.3", "1.6"]
        series = [capture.SeriesInstanceUID for capture in captures]
        assert series[0] == series[1] != series[2]
    uids = [
        capture[keyword].value
        for capture in first + second
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID")
    ]
    assert len(set(uids)) == 6 + 4
    assert all(uid.is_valid for uid in uids)


def test_without_a_finding_the_middle_is_shown_and_says_so() -> None:
    datasets = [plane(z) for z in (0, 1, 2)]
    (capture,) = captured(*map(as_file, datasets))
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == datasets[1].SOPInstanceUID
    assert (capture.pixel_array[:40] == 255).all(axis=2).any()


def test_a_frame_is_named_by_its_number() -> None:
    pixels = np.zeros((3, 9, 9), np.uint8)
    pixels[2, 2:7, 2:7] = 100
    (capture,) = captured(as_file(image(pixels, NumberOfFrames=3, Modality="US")))
    assert capture.SourceImageSequence[0].ReferencedFrameNumber == 3


@pytest.mark.parametrize(
    "attributes",
    [
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12.5"},
        {"BurnedInAnnotation": "YES"},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Yamada^Tarou=山田^太郎"},
    ],
)
def test_what_stays_true_of_the_source_is_said_of_the_capture(attributes: dict[str, Any]) -> None:
    (capture,) = captured(as_file(plane(0, **attributes)))
    for keyword, value in attributes.items():
        assert capture[keyword].value == value


def test_names_in_other_character_sets_are_kept() -> None:
    (path,) = get_charset_files("chrH31.dcm")
    (capture,) = captured(io.BytesIO(Path(path).read_bytes()))
    assert str(capture.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"


def test_a_source_without_uids_gives_a_capture_of_a_study_of_its_own() -> None:
    dataset = plane(0, StudyInstanceUID=None, SOPInstanceUID=None)
    (capture,) = captured(as_file(dataset))
    assert capture.StudyInstanceUID.is_valid
    assert "SourceImageSequence" not in capture


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # pydicom's word on what is wrong here on purpose
def test_wrong_values_of_the_source_are_kept_or_left_out_and_do_no_harm() -> None:
    dataset = plane(0, SOPInstanceUID="1.2.3.4.55555", StudyDate="20250102", PatientID="4711")
    whole = (
        as_file(dataset)
        .getvalue()
        .replace(b"1.2.3.4.55555", b"1.2.x.4.55555")
        .replace(b"20250102", b"notadate")
    )
    (capture,) = captured(io.BytesIO(whole.replace(b"\x10\x00\x20\x00LO", b"\x10\x00\x20\x00ZZ")))
    assert capture["StudyDate"].value == "notadate"
    assert "SourceImageSequence" not in capture
    assert capture.PatientID == ""
