"""A volume is what SimpleITK reads of the same files, and costs little more than reading them."""

import importlib
import threading
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from inference_gateway.study import Volume, read_study
from tests.dicom.encoded import encoded
from tests.dicom.objects import as_file, image
from tests.study.making import OBLIQUE, ct, enhanced, volume_of, written


def test_affines_lead_to_the_patient_in_both_conventions() -> None:
    volume = volume_of(ct(5, OBLIQUE))
    assert volume.affine_lps is not None
    assert volume.affine_ras is not None
    for plane, one in enumerate(volume.images):
        place = one.frame.position
        assert place is not None
        assert (volume.affine_lps @ [plane, 0, 0, 1])[:3] == pytest.approx(place, abs=1e-4)
        ras = [-place[0], -place[1], place[2]]
        assert (volume.affine_ras @ [plane, 0, 0, 1])[:3] == pytest.approx(ras, abs=1e-4)


def test_it_is_an_array_and_names_its_planes() -> None:
    datasets = ct(4)
    volume = volume_of(datasets)
    assert np.asarray(volume).shape == volume.shape == (4, 12, 10)
    assert np.asarray(volume, dtype=np.int16).dtype == np.int16
    assert list(volume.sop_instance_uids) == [one.SOPInstanceUID for one in datasets]
    assert (list(volume.frame_numbers), volume.timepoints) == ([1] * 4, 1)
    assert (volume.modality, volume.series_instance_uid, volume.study_instance_uid) == (
        "CT",
        "1.2.3.4",
        "1.2.3",
    )


def assert_as_simpleitk_reads(volume: Volume, paths: list[Path]) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="needs SimpleITK")
    reader = sitk.ImageSeriesReader()
    folder = str(paths[0].parent)
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder) if len(paths) > 1 else [str(paths[0])])
    image = reader.Execute()
    np.testing.assert_array_equal(volume.values, sitk.GetArrayFromImage(image).astype(np.float32))
    direction = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    assert volume.affine_lps is not None
    np.testing.assert_allclose(volume.affine_lps[:3, [2, 1, 0]], direction, atol=1e-4)
    np.testing.assert_allclose(volume.affine_lps[:3, 3], image.GetOrigin(), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], OBLIQUE])
def test_300_images_in_any_order_are_what_simpleitk_reads(orientation: list[float], tmp_path: Path) -> None:
    paths = written(tmp_path / "series", ct(300, orientation))
    assert_as_simpleitk_reads(read_study(paths).volume(), paths)


@pytest.mark.parametrize("syntax", [uid.JPEGLosslessSV1, uid.JPEG2000Lossless, uid.JPEGLSLossless])
def test_compressed_images_are_what_simpleitk_reads(syntax: uid.UID, tmp_path: Path) -> None:
    datasets = []
    for plain in ct(6):
        dataset = encoded(plain.pixel_array[None].astype(np.uint16), syntax)
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "InstanceNumber"):
            setattr(dataset, keyword, plain[keyword].value)
        datasets.append(dataset)
    paths = written(tmp_path / "series", datasets)
    assert_as_simpleitk_reads(read_study(paths).volume(), paths)


def test_an_enhanced_image_is_what_its_frames_say() -> None:
    volume = volume_of([enhanced()])
    assert volume.values[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert list(volume.frame_numbers) == [1, 4, 2, 5, 3]
    assert volume.spacing == (2.5, 0.5, 0.75)


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept"),
    [("i2", 1.0, -1024.0), ("u2", 0.37, 11.5), ("i2", 2.0, 0.5), ("u4", 1.0, 3.0), ("i2", 1.0, 1e9)],
)
def test_rescaled_values_are_those_of_double_precision(dtype: str, slope: float, intercept: float) -> None:
    stored = np.random.default_rng(3).integers(0, 30000, (300, 300)).astype(dtype)
    dataset = ct(1)[0]
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = dataset.BitsStored = stored.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    dataset.PixelData = stored.tobytes()
    (values,) = read_study([as_file(dataset)]).volume().values
    np.testing.assert_array_equal(values, (stored * slope + intercept).astype(np.float32))


def test_native_frames_of_a_large_image_are_decoded_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = importlib.import_module("inference_gateway.dicom.pixels")
    both = threading.Barrier(2, timeout=60)  # broken where one waits for the other
    rescaled = pixels._rescaled

    def waiting(*arguments: object) -> None:
        both.wait()
        rescaled(*arguments)

    monkeypatch.setattr(pixels, "_rescaled", waiting)
    monkeypatch.setattr("inference_gateway.dicom.stored.cores", lambda: 2)
    frames = np.random.default_rng(2).integers(0, 4000, (4, 1024, 1024), np.int16)
    file = as_file(image(frames, NumberOfFrames=4, RescaleIntercept=-1024))
    assert np.array_equal(read_study([file]).volume(strict=False).values, frames - np.float32(1024))
