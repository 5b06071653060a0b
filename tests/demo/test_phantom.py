"""The phantom is the CT series that it says it is."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from inference_gateway.demo.phantom import make_phantom, write_phantom
from inference_gateway.dicom.series import read_study
from inference_gateway.dicom.volume import read_volume
from tests.demo.study import PHANTOM, files

# Attributes of type 1 of the CT Image IOD (PS3.3 A.3.3), and those of type 2, which may be empty.
TYPE_1 = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
    "PatientPosition",
    "InstanceNumber",
    "PixelData",
)
TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "SeriesNumber",
    "Manufacturer",
    "PositionReferenceIndicator",
    "SliceThickness",
    "KVP",
    "AcquisitionNumber",
)


def test_the_default_is_a_series_of_48_files(tmp_path: Path) -> None:
    phantom = write_phantom(tmp_path / "new" / "folder")
    paths = sorted((tmp_path / "new" / "folder").iterdir())
    assert [path.name for path in paths[::47]] == ["slice-0001.dcm", "slice-0048.dcm"]
    assert phantom.stored.shape == phantom.lesion.shape == (48, 256, 256)
    assert phantom.stored.dtype == np.int16
    for number, path in enumerate(paths):
        dataset = dcmread(path)
        assert np.array_equal(dataset.pixel_array, phantom.stored[number])


def test_every_image_has_what_a_ct_image_needs() -> None:
    datasets = [dcmread(file) for file in files(make_phantom(slices=3, rows=16, columns=16))]
    for dataset in datasets:
        assert [keyword for keyword in TYPE_1 if dataset.get(keyword) in (None, "", [])] == []
        assert [keyword for keyword in TYPE_2 if keyword not in dataset] == []
        assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == CTImageStorage
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert (dataset.RescaleSlope, dataset.RescaleIntercept, dataset.PixelRepresentation) == (1, -1024, 1)
        uids = [dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID]
        assert all(uid.is_valid for uid in [*uids, dataset.FrameOfReferenceUID])
    for keyword, count in {"SOPInstanceUID": 3, "StudyInstanceUID": 1, "SeriesInstanceUID": 1}.items():
        assert len({dataset.get(keyword) for dataset in datasets}) == count


def test_it_lies_around_the_origin_and_its_planes_go_up() -> None:
    (series,) = read_study(files()).series
    (stack,) = series.stacks
    assert stack.spacing == pytest.approx(PHANTOM.spacing)
    assert PHANTOM.spacing == pytest.approx((240 / 32, 358.4 / 128, 358.4 / 128))
    first, last = stack.frames[0].position, stack.frames[-1].position
    assert first == pytest.approx((-(358.4 - 2.8) / 2, -(358.4 - 2.8) / 2, -(240 - 7.5) / 2))
    assert last == pytest.approx((first[0], first[1], -first[2]) if first else ())
    assert stack.frames[0].orientation == (1, 0, 0, 0, 1, 0)


def test_the_lesion_is_the_ellipsoid_that_it_says() -> None:
    """Its voxels against the formula, its volume against 4/3 pi a b c."""
    axes = [
        (np.arange(count) - (count - 1) / 2) * step
        for count, step in zip(PHANTOM.lesion.shape, PHANTOM.spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    inside = ((x + 58) / 18) ** 2 + ((y + 10) / 15) ** 2 + ((z + 58) / 20) ** 2
    assert PHANTOM.lesion[inside < 0.99].all()
    assert not PHANTOM.lesion[inside > 1.01].any()
    volume = PHANTOM.lesion.sum() * np.prod(PHANTOM.spacing)
    assert volume == pytest.approx(4 / 3 * np.pi * 18 * 15 * 20, rel=0.05)


def test_tissues_have_their_hounsfield_units_and_noise() -> None:
    (series,) = read_study(files()).series
    values = read_volume(series.stacks[0]).values
    lesion = values[PHANTOM.lesion]
    assert abs(np.median(lesion) - 170) < 5
    liver = values[7, 55:65, 52:60]  # beside the lesion
    assert abs(liver.mean() - 60) < 5
    assert 9 < liver.std() < 15
    assert abs(values[24, 60:68, 40:46].mean() + 850) < 5  # right lung, on the left of the image
    assert abs(values[16, 85:89, 60:68].mean() - 500) < 10  # vertebra
    assert values[:, :8, :].max() < -900  # air in front
    assert values.min() >= -1024


def test_the_same_numbers_give_the_same_files_and_others_do_not() -> None:
    def made(**numbers: int) -> list[bytes]:
        return [file.getvalue() for file in files(make_phantom(rows=16, columns=16, **numbers))]

    assert made(slices=2, seed=5) == made(slices=2, seed=5)
    assert made(slices=2, seed=5) != made(slices=2, seed=6)
    uids = {
        dcmread(files(make_phantom(slices=2, rows=rows, columns=16))[0]).SOPInstanceUID for rows in (16, 17)
    }
    assert len(uids) == 2


def test_a_phantom_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one slice"):
        make_phantom(slices=0)
