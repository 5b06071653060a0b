"""The frames of a volume → the headers that highdicom makes an object from, in the order of the planes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.uid import UID, generate_uid

from inference_gateway.dicom import attributes
from inference_gateway.dicom.instances import Frame
from inference_gateway.study.errors import StudyError
from inference_gateway.study.patient import TYPE_2


def headers_of(frames: Sequence[Frame]) -> list[Dataset]:
    """Return the header of each image that has one of these frames, in their order.

    Patient and study are empty: `patient.belong` fills them in afterwards, since highdicom refuses, or logs,
    values that the standard does not allow. Images that lie somewhere but name no frame of reference get one
    of their own. Raises `StudyError` where UIDs are missing.
    """
    headers = [frame.instance.read_header() for frame in _firsts(frames)]
    of_its_own = generate_uid(prefix=None)
    study = generate_uid(prefix=None)
    for header, frame in zip(headers, _firsts(frames), strict=True):
        for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"):
            if not _is_uid(header, keyword):
                raise StudyError(f"an image has no valid {keyword}, and nothing can refer to it")
        if not _is_uid(header, "StudyInstanceUID"):
            header.StudyInstanceUID = study
        if frame.position is not None and not _is_uid(header, "FrameOfReferenceUID"):
            header.FrameOfReferenceUID = of_its_own
        for keyword in TYPE_2:
            setattr(header, keyword, None)
        if not {"DeidentificationMethod", "DeidentificationMethodCodeSequence"} & set(header.dir("Deident")):
            header.pop("PatientIdentityRemoved", None)  # PS3.3 C.7.1.1 wants one of them beside it
        header.SpecificCharacterSet = "ISO_IR 192"
    return headers


@contextmanager
def needed(kind: str) -> Iterator[None]:
    """Raise `StudyError` where highdicom misses something of the images; `kind` is what it makes."""
    try:
        yield
    except AttributeError as error:
        raise StudyError(f"an image has no {error.name}, and {kind} needs it") from error
    except ValueError as error:
        if "Frame Of Reference" not in str(error):
            raise
        raise StudyError(f"the images do not say where they lie, and {kind} needs it") from error


def _firsts(frames: Sequence[Frame]) -> list[Frame]:
    """Return the first frame of each image, in the order of the frames."""
    return list({id(frame.instance): frame for frame in reversed(frames)}.values())[::-1]


def _is_uid(header: Dataset, keyword: str) -> bool:
    return UID(attributes.text(header, keyword), validation_mode=IGNORE).is_valid
