"""The header of an image → what is made of the image belongs to the same patient and study."""

from __future__ import annotations

from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.uid import UID, generate_uid

from inference_gateway.dicom import attributes

# Modules Patient, General Study and Patient Study (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2).
_SHARED = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
    *("StudyDescription", "PatientAge", "PatientSize", "PatientWeight"),
)

TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
"""Attributes of these modules that are there even if nothing is known (type 2)."""

# Once an image was compressed with loss, all that is made from it says so (PS3.3 C.7.6.1.1.5).
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")

# Where the patient's left, back and head are called so (PS3.3 C.7.6.1.1.1), and the other way.
_WAYS = (("L", "R"), ("P", "A"), ("H", "F"))
_LEAST_COSINE = 0.0001


def belong(made: Dataset, header: Dataset) -> None:
    """Make an object one of the patient and the study of a header; its texts are written in UTF-8.

    Values are those of the header, right or wrong: what is made has to fit beside the images. What cannot be
    read is left out, or empty where it has to be there (type 2).
    """
    for keyword in TYPE_2:
        setattr(made, keyword, None)
    for keyword in _SHARED:
        element = attributes.element(header, keyword)
        if element is not None and element.VR == "PN":  # a name keeps the bytes that it was read from
            made[keyword] = DataElement(element.tag, "PN", str(element.value or ""), validation_mode=IGNORE)
        elif element is not None:
            made[keyword] = element
    study = attributes.text(header, "StudyInstanceUID")
    if UID(study, validation_mode=IGNORE).is_valid:
        made.StudyInstanceUID = study
    elif "StudyInstanceUID" not in made:
        made.StudyInstanceUID = generate_uid(prefix=None)
    made.SpecificCharacterSet = "ISO_IR 192"


def keep_loss(made: Dataset, header: Dataset) -> None:
    """Say of a picture that its source was compressed with loss, where it was."""
    for keyword in _LOSSY:
        element = attributes.element(header, keyword)
        if element is not None:
            made[keyword] = element


def reference(header: Dataset, frame_number: int | None = None) -> Dataset | None:
    """Return an item that names an image (PS3.3 10.3), None where the image has no valid UIDs."""
    uids = [attributes.text(header, keyword) for keyword in ("SOPClassUID", "SOPInstanceUID")]
    if not all(UID(uid, validation_mode=IGNORE).is_valid for uid in uids):
        return None
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = uids
    if frame_number is not None:
        item.ReferencedFrameNumber = frame_number
    return item


def patient_orientation(orientation: tuple[float, ...] | None) -> list[str] | None:
    """Return where rows and columns of an image go (PS3.3 C.7.6.1.1.1), None where it is not known."""
    if orientation is None:
        return None
    return [_way(orientation[:3]), _way(orientation[3:])]


def _way(cosines: tuple[float, ...]) -> str:
    largest = sorted(range(3), key=lambda axis: -abs(cosines[axis]))
    return "".join(
        _WAYS[axis][0 if cosines[axis] > 0 else 1] for axis in largest if abs(cosines[axis]) > _LEAST_COSINE
    )
