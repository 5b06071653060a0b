"""A mask becomes a segmentation that other programs find where the mask lay."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.uid import RTDoseStorage, SecondaryCaptureImageStorage

from inference_gateway.study import StudyError, Volume, read_study
from inference_gateway.study.identity import Algorithm, Segment
from tests.dicom.objects import as_file, color_image, image
from tests.study.making import OBLIQUE, blob, ct, enhanced, validator_errors, volume_of

pytest.importorskip("highdicom", reason="needs highdicom")

from inference_gateway.study.segmentation import make_segmentation

ALGORITHM = Algorithm("Threshold", "1.0")
LUNG = Segment("Lung", codes.SCT.AnatomicalStructure, codes.SCT.Lung)

Places = NDArray[Any]


def places_in_patient(mask: NDArray[Any], volume: Volume) -> Places:
    """Where the voxels of a mask lie, in mm, sorted."""
    assert volume.affine_lps is not None
    return ordered(np.argwhere(mask) @ volume.affine_lps[:3, :3].T + volume.affine_lps[:3, 3])


def ordered(places: NDArray[Any]) -> Places:
    rounded = np.round(places.astype(np.float64), 3) + 0.0
    return rounded[np.lexsort(rounded.T)]


def as_highdicom_reads(made: Dataset, segment: int = 1) -> Places:
    import highdicom

    found = highdicom.seg.segread(as_file(made)).get_volume(segment_numbers=[segment])
    return ordered(np.argwhere(found.array[..., 0]) @ found.affine[:3, :3].T + found.affine[:3, 3])


def as_simpleitk_reads(made: Dataset, folder: Path) -> Places:
    sitk = pytest.importorskip("SimpleITK", reason="needs SimpleITK")
    path = folder / "read.dcm"
    made.save_as(path, enforce_file_format=True)
    found = sitk.ReadImage(str(path))
    indexes = np.argwhere(sitk.GetArrayFromImage(found))[:, ::-1].tolist()
    return ordered(np.array([found.TransformIndexToPhysicalPoint(one) for one in indexes]))


@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], OBLIQUE])
def test_it_lies_where_the_mask_lay_whatever_the_order_of_the_images(
    orientation: list[float], tmp_path: Path
) -> None:
    volume = volume_of(ct(6, orientation))
    mask = blob(volume.shape)
    made = make_segmentation(volume, mask, LUNG, algorithm=ALGORITHM)
    expected = places_in_patient(mask, volume)
    np.testing.assert_allclose(as_highdicom_reads(made), expected, atol=0.01)
    np.testing.assert_allclose(as_simpleitk_reads(made, tmp_path), expected, atol=0.01)


def test_it_says_who_found_what_in_which_images() -> None:
    volume = volume_of(ct(6, PatientName="Doe^Jane"))
    made = make_segmentation(volume, blob(volume.shape), LUNG, algorithm=ALGORITHM, description="Lungs")
    assert (made.PatientName, made.StudyInstanceUID, made.SeriesDescription) == ("Doe^Jane", "1.2.3", "Lungs")
    (segment,) = made.SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("Lung", "AUTOMATIC")
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "39607008"
    (identified,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (identified.AlgorithmName, identified.AlgorithmVersion) == ("Threshold", "1.0")
    (series,) = made.ReferencedSeriesSequence
    named = {one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence}
    assert named == set(volume.sop_instance_uids)
    for group in made.PerFrameFunctionalGroupsSequence:
        (derived,) = group.DerivationImageSequence
        (source,) = derived.SourceImageSequence
        plane = list(volume.sop_instance_uids).index(source.ReferencedSOPInstanceUID)
        lies = group.PlanePositionSequence[0].ImagePositionPatient
        assert list(map(float, lies)) == pytest.approx(volume.frames[plane].position)


def test_frames_of_a_multi_frame_image_are_found_by_their_numbers() -> None:
    volume = volume_of([enhanced()])
    mask = blob(volume.shape)
    made = make_segmentation(volume, mask, LUNG, algorithm=ALGORITHM)
    expected = places_in_patient(mask, volume)
    np.testing.assert_allclose(as_highdicom_reads(made), expected, atol=0.01)


def test_masks_of_each_form() -> None:
    volume = volume_of(ct(6))
    mask = blob(volume.shape)
    two = [LUNG, Segment("Nodule")]
    for form in (np.stack([mask, ~mask]), mask.astype(np.int64) + 2 * ~mask):
        made = make_segmentation(volume, form, two, algorithm=ALGORITHM)
        assert made.SegmentationType == "BINARY"
        assert np.array_equal(as_highdicom_reads(made, 1), places_in_patient(mask, volume))
        assert np.array_equal(as_highdicom_reads(made, 2), places_in_patient(~mask, volume))
    fractions = make_segmentation(volume, mask * 0.5, LUNG, algorithm=ALGORITHM)
    assert (fractions.SegmentationType, fractions.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert set(np.unique(dcmread(as_file(fractions)).pixel_array)) <= {0, 127, 128}


@pytest.mark.parametrize(
    ("mask", "segments", "said"),
    [
        (np.zeros((6, 10, 12), np.bool_), 1, r"of shape \(6, 10, 12\) over a volume of shape \(6, 12, 10\)"),
        (np.full((6, 12, 10), 255, np.uint8), 1, "with numbers from 0 to 255, and there are 1 segments"),
        (np.full((6, 12, 10), -1, np.int16), 1, "with numbers from -1 to 0"),
        (np.full((6, 12, 10), 1.5), 1, "a float of a mask is from 0.0 to 1.0"),
        (np.full((6, 12, 10), np.nan), 1, "a float of a mask is from 0.0 to 1.0"),
        (
            np.zeros((6, 12, 10), np.bool_),
            2,
            r"a mask of 2 segments is of \(segments, depth, rows, columns\)",
        ),
        (np.full((2, 6, 12, 10), 7, np.uint8), 2, "a mask of each segment is of booleans, or of 0 and 1"),
        (np.zeros((6, 12, 10), np.complex64), 1, "not of complex64"),
    ],
)
def test_masks_that_mean_nothing_are_refused(mask: NDArray[Any], segments: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_segmentation(volume_of(ct(6)), mask, [Segment("x")] * segments, algorithm=ALGORITHM)


def odd() -> list[Dataset]:
    """A series that says of its patient what no validator likes, and has no frame of reference."""
    datasets = ct(6, PatientName="Jane", PatientSex="female", StudyDate="", AccessionNumber="1" * 16)
    for dataset in datasets:
        del dataset.FrameOfReferenceUID
        dataset.PatientBirthDate = "1970"
    return datasets


@pytest.mark.filterwarnings("ignore")  # pydicom warns of what is put together here against the standard
def test_an_odd_patient_is_no_obstacle_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    volume = volume_of(odd())
    made = make_segmentation(volume, blob(volume.shape), LUNG, algorithm=ALGORITHM)
    assert made.PatientName == "Jane"
    said = [record.getMessage() for record in caplog.records if record.name.startswith("highdicom")]
    assert said
    assert not [line for line in said if "Jane" in line or "female" in line]


def test_images_that_no_segmentation_can_be_of_say_why() -> None:
    cine = image(np.zeros((3, 4, 4), np.uint8), NumberOfFrames=3)
    volume = read_study([as_file(cine)]).volume(strict=False)
    with pytest.raises(StudyError, match="a multi-frame image without functional groups"):
        make_segmentation(volume, np.zeros(volume.shape, np.bool_), LUNG, algorithm=ALGORITHM)


def test_an_attribute_that_is_missing_is_named() -> None:
    dataset = ct(1, SOPClassUID=RTDoseStorage)[0]
    volume = read_study([as_file(dataset)]).volume()
    with pytest.raises(
        StudyError, match=r"^an image has no SharedFunctionalGroupsSequence, and a segmentation"
    ):
        make_segmentation(volume, np.zeros(volume.shape, np.bool_), LUNG, algorithm=ALGORITHM)


def test_a_validator_finds_no_error_where_images_lie_nowhere(tmp_path: Path) -> None:
    flat = color_image(
        np.zeros((6, 8, 3), np.uint8), PatientIdentityRemoved="YES", SOPClassUID=SecondaryCaptureImageStorage
    )
    volume = read_study([as_file(flat)]).volume(strict=False)
    made = make_segmentation(volume, np.ones(volume.shape, np.bool_), LUNG, algorithm=ALGORITHM)
    assert validator_errors(made, tmp_path) == []


@pytest.mark.parametrize("form", ["booleans", "labels", "fractions", "empty"])
def test_a_validator_finds_no_error(form: str, tmp_path: Path) -> None:
    volume = volume_of(ct(6))
    mask = blob(volume.shape)
    masks: dict[str, NDArray[Any]] = {
        "booleans": mask,
        "labels": mask * np.uint8(2),
        "fractions": mask * 0.5,
        "empty": np.zeros_like(mask),
    }
    segments = [LUNG, Segment("Nodule")] if form == "labels" else [LUNG]
    made = make_segmentation(volume, masks[form], segments, algorithm=ALGORITHM)
    assert validator_errors(made, tmp_path) == []


def test_a_frame_of_reference_is_no_obstacle_to_a_validator(tmp_path: Path) -> None:
    datasets = ct(6)
    for dataset in datasets:
        del dataset.FrameOfReferenceUID
    volume = volume_of(datasets)
    made = make_segmentation(volume, blob(volume.shape), LUNG, algorithm=ALGORITHM)
    assert validator_errors(made, tmp_path) == []


def test_planes_with_a_gap_between_them_lie_where_the_mask_lay(tmp_path: Path) -> None:
    """Two lesions: a reader of frames that knows no segmentations would move one next to the other."""
    volume = volume_of(ct(8))
    mask = np.zeros(volume.shape, np.bool_)
    mask[1, 2:5, 3:6] = mask[5:7, 7:9, 1:4] = True
    for form in (mask, mask * 1.0):
        made = make_segmentation(volume, form, LUNG, algorithm=ALGORITHM)
        assert validator_errors(made, tmp_path) == []
        expected = places_in_patient(mask, volume)
        np.testing.assert_allclose(as_simpleitk_reads(made, tmp_path), expected, atol=0.01)
    np.testing.assert_allclose(as_highdicom_reads(made), expected, atol=0.01)


@pytest.mark.parametrize("thickness", ["", None, "thin"])
def test_a_thickness_that_is_not_known_is_the_step_between_planes(thickness: Any, tmp_path: Path) -> None:
    datasets = ct(6)
    for dataset in datasets:
        if thickness is None:
            del dataset.SliceThickness
        else:
            dataset["SliceThickness"] = RawDataElement(
                Tag("SliceThickness"), "DS", len(thickness), thickness.encode(), 0, False, True
            )
    volume = volume_of(datasets)
    mask = blob(volume.shape)
    made = make_segmentation(volume, mask, LUNG, algorithm=ALGORITHM)
    assert validator_errors(made, tmp_path) == []
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == 2.5
    np.testing.assert_allclose(as_highdicom_reads(made), places_in_patient(mask, volume), atol=0.01)


def test_images_that_lie_nowhere_are_no_failure_of_the_model() -> None:
    (dataset,) = ct(1)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        del dataset[keyword]
    volume = read_study([as_file(dataset)]).volume(strict=False)
    with pytest.raises(StudyError, match="do not say where they lie, and a segmentation needs it"):
        make_segmentation(volume, np.ones(volume.shape, np.bool_), LUNG, algorithm=ALGORITHM)
