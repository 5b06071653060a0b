"""A picture → a Secondary Capture object (PS3.3 A.8.1), complete but for whose picture it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

# Attributes of type 2 and 2C of the modules Patient, General Study, General Series and General Image (PS3.3
# C.7.1.1, C.7.2.1, C.7.3.1, C.7.6.1): they are there even if empty.
_TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
    *("SeriesNumber", "Laterality", "PatientOrientation"),
)


def make_capture(image: NDArray[Any], sop_instance_uid: str | None = None) -> Dataset:
    """Return a Secondary Capture object of a picture, with a fresh UID where none is given.

    `image`: uint8 or uint16 of (rows, columns), grey with 0 as black, or uint8 of (rows, columns, 3), RGB.
    The caller adds StudyInstanceUID and SeriesInstanceUID. Raises `ValueError` for another array.
    """
    color = image.ndim == 3
    if image.dtype not in ((np.uint8,) if color else (np.uint8, np.uint16)) or image.shape[2:] not in (
        (),
        (3,),
    ):
        raise ValueError(f"an array of {image.dtype}, {image.shape} is no grey or RGB picture")
    dataset = Dataset()
    for keyword in _TYPE_2:
        setattr(dataset, keyword, None)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = sop_instance_uid or generate_uid(prefix=None)
    dataset.Modality = "OT"
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.Manufacturer = "inference-gateway"
    bits = image.dtype.itemsize * 8
    dataset.SamplesPerPixel = 3 if color else 1
    dataset.PhotometricInterpretation = "RGB" if color else "MONOCHROME2"
    if color:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = image.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    data = image.astype(image.dtype.newbyteorder("<")).tobytes()
    dataset.add_new("PixelData", "OB" if bits == 8 else "OW", data + bytes(len(data) % 2))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset
