"""A made CT series of a chest and upper abdomen with one lesion, and the truth about that lesion.

Everything follows from the numbers asked for: the same numbers give the same files, UIDs included. Built
plane by plane; memory is the series itself.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

Float = NDArray[np.float32]

# The space that is imaged, in mm: x to the patient's left, y to the back, z to the head; its middle is 0.
_WIDTH, _HEIGHT = 358.4, 240.0
_INTERCEPT = -1024
_NOISE_HU = 12.0
_NAMESPACE = uuid.UUID("6f0f6c2e-94f3-5e0b-8c35-3d2d4f8a7a10")


@dataclass(frozen=True)
class _Ellipsoid:
    """A part of the body: its middle and half axes (x, y, z) in mm, and its Hounsfield units."""

    middle: tuple[float, float, float]
    half: tuple[float, float, float]
    hounsfield: float


# Each is drawn over those before it. An infinite half axis makes a cylinder along the body.
_BODY = (
    _Ellipsoid((0, 0, 0), (155, 108, math.inf), -100),  # fat under the skin
    _Ellipsoid((0, 0, 0), (143, 96, math.inf), 50),  # muscle
    _Ellipsoid((0, 0, 0), (130, 84, math.inf), 700),  # ribs
    _Ellipsoid((0, 0, 0), (124, 78, math.inf), 40),
    _Ellipsoid((-60, -6, 70), (44, 52, 105), -850),  # right lung
    _Ellipsoid((60, -6, 70), (44, 52, 105), -850),  # left lung
    _Ellipsoid((14, -22, 25), (40, 34, 42), 45),  # heart
    _Ellipsoid((-50, -4, -62), (62, 62, 66), 60),  # liver
    _Ellipsoid((16, 42, 0), (11, 11, math.inf), 45),  # aorta
    _Ellipsoid((0, 70, 0), (20, 17, math.inf), 500),  # vertebrae
    _Ellipsoid((0, 81, 0), (8, 7, math.inf), 30),  # spinal canal
)
_LESION = _Ellipsoid((-58, -10, -58), (18, 15, 20), 170)


@dataclass(frozen=True, eq=False)
class Phantom:
    """A series as stored values and the lesion that is in it.

    `stored`: int16 of (depth, rows, columns), Hounsfield units = stored - 1024. `lesion`: where at least
    half of a voxel is lesion, bool of the same shape. `spacing`: mm between planes, rows, columns. The first
    plane is the one nearest to the feet.
    """

    stored: NDArray[np.int16]
    lesion: NDArray[np.bool_]
    spacing: tuple[float, float, float]
    seed: int

    def datasets(self) -> Iterator[Dataset]:
        """Yield one CT image for each plane, complete with file meta information."""
        for plane in range(self.stored.shape[0]):
            yield self._dataset(plane)

    def uid(self, name: str) -> str:
        """Return the UID of `name` in this phantom, made from a name-based UUID (PS3.5 B.2)."""
        depth, rows, columns = self.stored.shape
        return f"2.25.{uuid.uuid5(_NAMESPACE, f'{self.seed} {depth}x{rows}x{columns} {name}').int}"

    def _dataset(self, plane: int) -> Dataset:
        dataset = Dataset()
        _describe_patient_and_study(dataset)
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = self.uid(f"image {plane}")
        dataset.StudyInstanceUID = self.uid("study")
        dataset.SeriesInstanceUID = self.uid("series")
        dataset.FrameOfReferenceUID = self.uid("frame of reference")
        dataset.InstanceNumber = plane + 1
        self._describe_plane(dataset, plane)
        self._store_pixels(dataset, plane)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return dataset

    def _describe_plane(self, dataset: Dataset, plane: int) -> None:
        """Image Plane module (PS3.3 C.7.6.2): axial, from the feet to the head."""
        between_planes, between_rows, between_columns = self.spacing
        depth, rows, columns = self.stored.shape
        first = (
            -(columns - 1) / 2 * between_columns,
            -(rows - 1) / 2 * between_rows,
            (plane - (depth - 1) / 2) * between_planes,
        )
        dataset.PixelSpacing = [f"{between_rows:.6f}", f"{between_columns:.6f}"]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [f"{one:.4f}" for one in first]
        dataset.SliceThickness = f"{between_planes:.4f}"
        dataset.SliceLocation = f"{first[2]:.4f}"

    def _store_pixels(self, dataset: Dataset, plane: int) -> None:
        """Image Pixel, CT Image and VOI LUT modules (PS3.3 C.7.6.3, C.8.2.1, C.11.2)."""
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.Rows, dataset.Columns = self.stored.shape[1:]
        dataset.BitsAllocated = 16
        dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.PixelRepresentation = 1
        dataset.RescaleIntercept = _INTERCEPT
        dataset.RescaleSlope = 1
        dataset.RescaleType = "HU"
        dataset.WindowCenter = 40
        dataset.WindowWidth = 400
        dataset.PixelData = self.stored[plane].astype("<i2").tobytes()


def make_phantom(*, slices: int = 48, rows: int = 256, columns: int = 256, seed: int = 0) -> Phantom:
    """Make a series of `slices` planes of `rows` by `columns` pixels that span the same body.

    `seed` decides the noise and the UIDs. Raises `ValueError` where a number is less than 1.
    """
    if min(slices, rows, columns) < 1:
        raise ValueError("a phantom has at least one slice, one row and one column")
    spacing = (_HEIGHT / slices, _WIDTH / rows, _WIDTH / columns)
    z, y, x = (_centers(count, step) for count, step in zip((slices, rows, columns), spacing, strict=True))
    stored = np.empty((slices, rows, columns), dtype=np.int16)
    lesion = np.empty(stored.shape, dtype=np.bool_)
    for plane in range(slices):
        values = np.full((rows, columns), -1000, dtype=np.float32)
        for part in (*_BODY, _LESION):
            covered = _coverage(part, z[plane], y, x, spacing[1])
            values += covered * (part.hounsfield - values)
        noise = np.random.default_rng([seed, plane]).standard_normal(values.shape, dtype=np.float32)
        stored[plane] = np.rint(np.clip(values + _NOISE_HU * noise - _INTERCEPT, 0, 4095))
        lesion[plane] = _coverage(_LESION, z[plane], y, x, spacing[1]) >= 0.5
    return Phantom(stored, lesion, spacing, seed)


def write_phantom(
    folder: Path, *, slices: int = 48, rows: int = 256, columns: int = 256, seed: int = 0
) -> Phantom:
    """Write the series of `make_phantom` as `slice-0001.dcm` and so on into a folder, made if need be."""
    phantom = make_phantom(slices=slices, rows=rows, columns=columns, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(phantom.datasets(), start=1):
        dataset.save_as(folder / f"slice-{number:04d}.dcm", enforce_file_format=True)
    return phantom


def _centers(count: int, step: float) -> Float:
    return ((np.arange(count) - (count - 1) / 2) * step).astype(np.float32)


def _coverage(part: _Ellipsoid, z: float, y: Float, x: Float, pixel: float) -> Float:
    """Return how much of each pixel of a plane a part covers, 0 to 1, with an edge one pixel wide.

    `z` of the plane and `y`, `x` of its rows and columns in mm; `pixel` is the distance of rows in mm.
    """
    dz, dy, dx = z - part.middle[2], y - part.middle[1], x - part.middle[0]
    square = (dz / part.half[2]) ** 2 + (dy[:, None] / part.half[1]) ** 2 + (dx[None, :] / part.half[0]) ** 2
    inside = (1.0 - np.sqrt(square)) * (min(part.half[:2]) / pixel)
    return np.clip(inside + 0.5, 0.0, 1.0).astype(np.float32)


def _describe_patient_and_study(dataset: Dataset) -> None:
    """Patient, Study, Series, Frame of Reference, Equipment and CT Image modules, without UIDs and pixels."""
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20250101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "120000"
    dataset.AccessionNumber = ""
    dataset.Modality = "CT"
    dataset.Manufacturer = "inference-gateway"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Phantom"
    dataset.SeriesDescription = "Chest and abdomen with one lesion"
    dataset.PatientName = "Phantom^Demo"
    dataset.PatientID = "PHANTOM"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.BodyPartExamined = "CHEST"
    dataset.KVP = None
    dataset.PatientPosition = "HFS"
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.AcquisitionNumber = 1
    dataset.PositionReferenceIndicator = ""
