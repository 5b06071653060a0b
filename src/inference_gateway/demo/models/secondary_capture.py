"""A picture of what is found in each series, as a DICOM object that any viewer shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.config import IGNORE
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from inference_gateway.demo.findings import Finding, find_in_stack
from inference_gateway.demo.models.answer import Answer, Json, answer
from inference_gateway.dicom import attributes
from inference_gateway.dicom.capture import make_capture
from inference_gateway.dicom.overlay import Mask, draw_overlay, zoom_to
from inference_gateway.dicom.pixels import PixelDataError, display_values, read_frames
from inference_gateway.dicom.series import Frame, Stack, read_study
from inference_gateway.dicom.sources import Source

# What a capture shares with the image that it shows: the Patient and General Study modules (PS3.3 C.7.1.1,
# C.7.2.1), and the character set that they are written in.
_SHARED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "StudyDescription",
    "BurnedInAnnotation",
)
# Once an image was compressed with loss, all that is made from it says so (PS3.3 C.7.6.1.1.5).
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def secondary_capture(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return for each stack of images the one that shows most of its region, drawn over, as RGB.

    Captures of one request make one new series in each study.
    """
    parts: list[Json] = []
    captures: list[Dataset] = []
    new_series: dict[str, str] = {}
    for series in read_study(inputs).series:
        for stack in series.stacks:
            try:
                finding = find_in_stack(stack)
                capture = _capture(_key_frame(stack, finding), finding)
            except PixelDataError:
                continue
            study = str(capture.StudyInstanceUID)
            capture.SeriesInstanceUID = new_series.setdefault(study, generate_uid(prefix=None))
            capture.InstanceNumber = len(captures) + 1
            captures.append(capture)
            parts.append(
                {
                    "label": finding.label,
                    "binary_type": "dicom_secondary_capture",
                    "SeriesInstanceUID": series.series_instance_uid,
                }
            )
    return answer(parts, captures)


def _key_frame(stack: Stack, finding: Finding) -> tuple[int, Frame]:
    """Return plane and frame that show most of the region, those in the middle where there is none."""
    areas = finding.runs.areas()
    plane = max(areas, key=lambda at: areas[at]) if areas else len(stack.frames) // 2
    return plane, stack.frames[plane]


def _capture(key_frame: tuple[int, Frame], finding: Finding) -> Dataset:
    plane, frame = key_frame
    pixels = next(read_frames([frame]))
    shown = display_values(pixels)
    caption = [] if finding.found else [f"no {finding.label}"]
    mask = Mask(finding.runs.in_plane(plane), "boolean_mask", finding.label)
    picture = draw_overlay(shown, masks=[mask], labels=caption, zoom=zoom_to(*shown.shape[:2]))
    dataset = make_capture(np.asarray(picture))
    _describe(dataset, pixels.header)
    reference = _reference(pixels.header, frame)
    if reference is not None:
        dataset.SourceImageSequence = [reference]
    return dataset


def _reference(source: Dataset, frame: Frame) -> Dataset | None:
    """Return an item of SourceImageSequence (PS3.3 C.7.6.1), None where the source has no valid UIDs."""
    uids = [attributes.text(source, keyword) for keyword in ("SOPClassUID", "SOPInstanceUID")]
    if not all(UID(uid, validation_mode=IGNORE).is_valid for uid in uids):
        return None
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = uids
    if frame.instance.number_of_frames > 1:
        reference.ReferencedFrameNumber = frame.number
    return reference


def _describe(capture: Dataset, source: Dataset) -> None:
    """Make a capture one of the same patient and study as its source."""
    for keyword in (*_SHARED, *_LOSSY):
        element = attributes.element(source, keyword)
        if element is not None:
            capture[keyword] = element
    if not capture.get("StudyInstanceUID"):
        capture.StudyInstanceUID = generate_uid(prefix=None)
    capture.DerivationDescription = "Finding of a demo model burned in"
    capture.SeriesDescription = "Demo model"
