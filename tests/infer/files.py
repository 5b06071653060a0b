"""What lies in folders of studies, and how much of it was found."""

from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from inference_gateway.infer.gather import Found
from tests.dicom.objects import as_file, plane

# To be turned, and with a width that is text (TIFF 6.0, section 2).
BROKEN_EXIF = (
    b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x00\0\x02\0\0\0\x02x\0\0\0\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
)


def put(path: Path, z: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_file(plane(z)).getvalue())
    return path


def dicomdir(folder: Path, *references: Any) -> Path:
    """A DICOMDIR with one record for each reference, and one without."""
    directory = Dataset()
    directory.DirectoryRecordSequence = [Dataset(), *(Dataset() for _ in references)]
    for record, reference in zip(directory.DirectoryRecordSequence[1:], references, strict=True):
        record.ReferencedFileID = reference
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder / "DICOMDIR"


def counts(found: Found) -> dict[str, int]:
    return {key: value for key, value in vars(found).items() if key != "paths" and value}
