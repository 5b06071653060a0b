"""A mask over an image → a Secondary Capture (PS3.3 A.8.1) that any viewer shows."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import generate_uid

from inference_gateway.dicom import attributes
from inference_gateway.dicom.capture import make_capture
from inference_gateway.dicom.overlay import Mask, draw_overlay, zoom_to
from inference_gateway.study.images import Image
from inference_gateway.study.patient import belong, keep_loss, patient_orientation, reference


def make_overlay(
    image: Image,
    mask: NDArray[Any],
    label: str,
    *,
    caption: str = "",
    series_instance_uid: str | None = None,
    series_number: int = 1001,
    number: int = 1,
    description: str = "Overlay",
) -> Dataset:
    """Return a picture of an image with a mask drawn over it, as a DICOM object of the same study.

    `mask` is of (rows, columns): booleans, or uint8 of 0 to 255 for a probability. Rows and columns go where
    those of the image go, and PatientOrientation says where that is; pixels are square, and PixelSpacing is
    that of the picture. `series_instance_uid` is that of the new series, a fresh one without it: captures of
    one answer share it, each with its own `number`. Raises `ValueError` where the mask is not of the image's
    size, `StudyError` where the image cannot be decoded.
    """
    shown = image.picture()
    aspect = 1.0 if image.spacing is None else image.spacing[0] / image.spacing[1]
    kind: Literal["boolean_mask", "probability_mask"]
    kind = "boolean_mask" if mask.dtype == np.bool_ else "probability_mask"
    picture = np.asarray(
        draw_overlay(
            shown,
            masks=[Mask(mask, kind, label)],
            labels=[caption] if caption else [],
            zoom=zoom_to(*shown.shape[:2]),
            aspect=aspect,
        )
    )
    header = image.header()
    made = make_capture(picture)
    belong(made, header)
    keep_loss(made, header)
    made.SeriesInstanceUID = series_instance_uid or generate_uid(prefix=None)
    made.SeriesNumber, made.InstanceNumber = series_number, number
    made.SeriesDescription = description
    made.DerivationDescription = "A finding of a model drawn over an image"
    made.BurnedInAnnotation = attributes.text(header, "BurnedInAnnotation") or "NO"
    made.PatientOrientation = patient_orientation(image.frame.orientation)
    if image.spacing is not None:
        scale = [length / shown.shape[axis] for axis, length in enumerate(picture.shape[:2])]
        made.PixelSpacing = [f"{one / by:.10g}" for one, by in zip(image.spacing, scale, strict=True)]
    several = image.frame.instance.number_of_frames > 1
    named = reference(header, image.frame_number if several else None)
    if named is not None:
        made.SourceImageSequence = [named]
    return made
