"""A segmentation object (PS3.3 A.51, A.51.3) → its segments, and where each of its frames lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference_gateway.dicom import attributes
from inference_gateway.dicom.series import Vector
from inference_gateway.dicom.shapes import Mask

SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation and Label Map Segmentation."""


@dataclass(frozen=True)
class SegmentFrame:
    """What a frame covers and where.

    `segment` is the number of its segment, None where its values are numbers of segments; `image` names what
    it was made from (SOPInstanceUID, frame number), None where nothing does; `position` is where its corner
    lies.
    """

    segment: int | None
    image: tuple[str, int] | None
    position: Vector | None


class Segmentation:
    """The segments of a segmentation object, read from its header."""

    def __init__(self, header: Dataset) -> None:
        self._header = header
        self._greatest = attributes.integer(header, "MaximumFractionalValue") or 255
        self._type = attributes.text(header, "SegmentationType")
        self.names = {
            number: attributes.text(segment, "SegmentLabel")
            for segment in attributes.items(header, "SegmentSequence")
            if (number := attributes.integer(segment, "SegmentNumber")) is not None
        }

    def frame(self, number: int) -> SegmentFrame:
        """Return what the frame of that number, from 1, covers."""
        return SegmentFrame(
            None if self._type == "LABELMAP" else self._segment(number),
            self._image(number),
            self._position(number),
        )

    def mask(self, frame: SegmentFrame, stored: NDArray[Any]) -> Mask:
        """Return the stored values of a frame as a mask."""
        if frame.segment is None:
            return Mask(stored, "numeric_label_mask", label_map=self.names)
        name = self.names.get(frame.segment) or f"segment {frame.segment}"
        if self._type == "FRACTIONAL":
            return Mask(stored.astype(np.float32) / np.float32(self._greatest), "probability_mask", name)
        return Mask(stored, "boolean_mask", name)

    def _segment(self, number: int) -> int:
        found = attributes.frame_numbers(
            self._header, number, "SegmentIdentificationSequence", "ReferencedSegmentNumber", 1
        )
        return 1 if found is None else int(found[0])

    def _image(self, number: int) -> tuple[str, int] | None:
        for group in attributes.frame_macro(self._header, number, "DerivationImageSequence"):
            for source in attributes.items(group, "SourceImageSequence")[:1]:
                frame = attributes.integer(source, "ReferencedFrameNumber") or 1
                return attributes.text(source, "ReferencedSOPInstanceUID"), frame
        return None

    def _position(self, number: int) -> Vector | None:
        found = attributes.frame_numbers(
            self._header, number, "PlanePositionSequence", "ImagePositionPatient", 3
        )
        return None if found is None else (found[0], found[1], found[2])
