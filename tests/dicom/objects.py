"""Small DICOM images, made byte by byte where it matters."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = [1, 0, 0, 0, 1, 0]


def image(pixels: NDArray[Any], **attributes: Any) -> Dataset:
    """A CT image of (rows, columns), (frames, rows, columns) where NumberOfFrames is given, else + samples.

    Pixels are stored little endian as they are; further attributes by keyword, None leaves one out.
    """
    frames = attributes.get("NumberOfFrames")
    shape = pixels.shape if frames is None else pixels.shape[1:]
    bits = pixels.dtype.itemsize * 8
    stored: dict[str, Any] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": generate_uid(prefix=None),
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "Modality": "CT",
        "Rows": shape[0],
        "Columns": shape[1],
        "SamplesPerPixel": shape[2] if len(shape) == 3 else 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
    } | attributes
    dataset = Dataset()
    for keyword, value in stored.items():
        if value is not None:
            setattr(dataset, keyword, value)
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.add_new("PixelData", "OB" if bits == 8 else "OW", data + bytes(len(data) % 2))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(stored["SOPInstanceUID"] or "1.2.3.4.5")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def plane(z: float, orientation: Sequence[float] = AXIAL, **attributes: Any) -> Dataset:
    """A CT image of 2 x 3 pixels, all of them z, whose corner lies z mm along the normal of its plane."""
    normal = np.cross(orientation[:3], orientation[3:])
    placed = {
        "ImageOrientationPatient": [f"{one:.8f}" for one in orientation],
        "ImagePositionPatient": [f"{one:.6f}" for one in normal * z + np.array([4.0, -5.0, 6.0])],
        "PixelSpacing": [0.5, 0.25],
    }
    return image(np.full((2, 3), z, dtype=np.int16), **placed | attributes)


def color_image(pixels: NDArray[Any], **attributes: Any) -> Dataset:
    """An ultrasound image of (rows, columns, 3), RGB by pixel where nothing else is said."""
    colored = {"Modality": "US", "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    return image(pixels, **colored | attributes)


def as_file(dataset: Dataset) -> io.BytesIO:
    """The DICOM file of a data set, in memory and without a name."""
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    file.seek(0)
    return file


def packed_bits(frames: NDArray[Any], **attributes: Any) -> Dataset:
    """An image of one bit a pixel whose frames follow each other without a gap (PS3.5 8.1.1)."""
    dataset = image(frames.astype(np.uint8), NumberOfFrames=len(frames), Modality="OT", **attributes)
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + bytes(len(packed) % 2)
    return dataset
