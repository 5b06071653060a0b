"""Studies as requests bring them, and what programs beside this one make of the same files."""

import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, uid

from inference_gateway.study import Series, Volume, read_study
from tests.dicom.objects import as_file, image

OBLIQUE = [2 / 3, 1 / 3, 2 / 3, -2 / 3, 2 / 3, 1 / 3]


def ct(planes: int, orientation: Sequence[float] = (1, 0, 0, 0, 1, 0), **attributes: Any) -> list[Dataset]:
    """A CT series of (planes, 12, 10) with other values everywhere, 2.5 mm apart, whole for a validator."""
    normal = np.cross(orientation[:3], orientation[3:])
    values = np.random.default_rng(planes).integers(0, 4000, (planes, 12, 10), np.int16)
    return [
        image(
            values[at],
            InstanceNumber=at + 1,
            FrameOfReferenceUID="1.2.3.4.9",
            PositionReferenceIndicator="",
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            ImageOrientationPatient=[f"{one:.8f}" for one in orientation],
            ImagePositionPatient=[f"{one:.6f}" for one in normal * 2.5 * at + np.array([4.0, -5.0, 6.0])],
            PixelSpacing=[0.5, 0.75],
            SliceThickness=2.5,
            RescaleSlope=1,
            RescaleIntercept=-1024,
            **attributes,
        )
        for at in range(planes)
    ]


def phases(planes: int, count: int) -> list[Dataset]:
    """The same at several times, one after the other."""
    return [
        dataset
        for phase in range(1, count + 1)
        for dataset in ct(planes, TemporalPositionIdentifier=phase, AcquisitionNumber=phase)
    ]


def enhanced() -> Dataset:
    """Five planes, stored in another order than they lie in."""
    stored_at = [0, 2, 4, 1, 3]
    pixels = np.zeros((5, 12, 10), np.int16)
    dataset = ct(1)[0]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del dataset[keyword]
    groups = []
    for frame, place in enumerate(stored_at):
        pixels[frame] = place
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [4.0, -5.0, 6.0 + 2.5 * place]
        group.PlanePositionSequence = [position]
        groups.append(group)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.75], 2.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.NumberOfFrames = 5
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.EnhancedCTImageStorage
    dataset.PixelData = pixels.tobytes()
    dataset.RescaleIntercept = 0
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = groups
    return dataset


def shuffled(datasets: Sequence[Dataset]) -> list[Any]:
    files = [as_file(dataset) for dataset in datasets]
    random.Random(7).shuffle(files)
    return files


def series_of(datasets: Sequence[Dataset]) -> Series:
    (series,) = read_study(shuffled(datasets)).series
    return series


def volume_of(datasets: Sequence[Dataset]) -> Volume:
    return read_study(shuffled(datasets)).volume()


def blob(shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """A mask that looks otherwise from each side, and is empty in the first plane."""
    mask = np.zeros(shape, np.bool_)
    mask[2:5, 3:6, 1:8] = True
    mask[4, 8, 2] = True
    return mask


def written(folder: Path, datasets: Sequence[Dataset]) -> list[Path]:
    """The data sets as files whose names are in no order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{(7 * at) % len(datasets):04d}-{at}.dcm" for at in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return paths


def validator_errors(dataset: Dataset, folder: Path) -> list[str]:
    """What dciodvfy of dicom3tools holds against an object; skips the test where it is not installed."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy of dicom3tools")
    path = folder / "object.dcm"
    dataset.save_as(path, enforce_file_format=True)
    ran = subprocess.run(["dciodvfy", path], capture_output=True, text=True, timeout=60, errors="replace")
    lines = (ran.stdout + ran.stderr).splitlines()
    assert lines, "it names the kind of object at least"
    return [line for line in lines if line.startswith("Error")]
