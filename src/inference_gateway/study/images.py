"""One image of a study: a plane of pixels and its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference_gateway.dicom.instances import Frame
from inference_gateway.dicom.pixels import display_values, modality_values, read_frames, read_values
from inference_gateway.dicom.stored import PixelDataError
from inference_gateway.study.errors import StudyError

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Image:
    """One frame of a DICOM image. Pixels are read when they are asked for."""

    frame: Frame

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.frame.instance.rows, self.frame.instance.columns

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Distance in mm between rows and between columns, None where the image does not give it."""
        found = self.frame.pixel_spacing
        return None if found is None else (found[0], found[1])

    @property
    def modality(self) -> str:
        """Modality of the image, such as "CT"."""
        return self.frame.instance.modality

    @property
    def index(self) -> int:
        """The place of its file among the inputs."""
        return self.frame.instance.index

    @property
    def series_instance_uid(self) -> str:
        """SeriesInstanceUID of the image."""
        return self.frame.instance.series_instance_uid

    @property
    def sop_instance_uid(self) -> str:
        """SOPInstanceUID of the image."""
        return self.frame.instance.sop_instance_uid

    @property
    def frame_number(self) -> int:
        """Number of the frame in its image, from 1."""
        return self.frame.number

    @property
    def reference(self) -> dict[str, Any]:
        """What names it in an answer: SOPInstanceUID, and the frame's number where its image has several."""
        named: dict[str, Any] = {"SOPInstanceUID": self.sop_instance_uid}
        if self.frame.instance.number_of_frames > 1:
            named["frame_number"] = self.frame_number
        return named

    def header(self) -> Dataset:
        """Return the whole dataset of the image but for its pixel data."""
        return self.frame.instance.read_header()

    def values(self) -> Float:
        """Return the modality values (Hounsfield units for CT), float32 of (rows, columns); colour as luma.

        Raises `StudyError` where the pixels cannot be decoded.
        """
        try:
            return modality_values(next(read_frames([self.frame])))
        except PixelDataError as error:
            raise _undecodable(error) from error

    def picture(self) -> NDArray[np.uint8]:
        """Return what a viewer shows at first, uint8 of (rows, columns), or of (rows, columns, 3) for colour.

        Raises `StudyError` where the pixels cannot be decoded.
        """
        try:
            return display_values(next(read_frames([self.frame])))
        except PixelDataError as error:
            raise _undecodable(error) from error


def values_of(frames: Sequence[Frame]) -> Float:
    """Return the modality values of frames of one size, float32 of (frames, rows, columns).

    Raises `StudyError` where one cannot be decoded.
    """
    try:
        return read_values(frames)
    except PixelDataError as error:
        raise _undecodable(error) from error


def _undecodable(error: PixelDataError) -> StudyError:
    return StudyError(f"its pixels cannot be decoded: {error}")
