"""A mask for every image, each looked at by itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.demo.findings import Finding, find_in_pixels
from inference_gateway.demo.models.answer import Answer, Json, answer, image_reference
from inference_gateway.dicom.pixels import PixelDataError, read_frames
from inference_gateway.dicom.series import Frame, frames_of, read_study
from inference_gateway.dicom.sources import Source


def segmentation_2d(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return a probability mask, uint8 of (height, width), 0 or 255, for each frame in order of arrival."""
    parts: list[Json] = []
    masks: list[NDArray[np.uint8]] = []
    for instance in read_study(inputs).instances:
        with suppress(PixelDataError):  # an image that cannot be decoded has no masks from there on
            for pixels in read_frames(frames_of(instance)):
                finding = find_in_pixels(pixels)
                masks.append(finding.mask()[0])
                parts.append(_part(finding, pixels.frame))
    return answer(parts, masks)


def _part(finding: Finding, frame: Frame) -> Json:
    return {
        "label": finding.label,
        "binary_type": "probability_mask",
        "binary_data_shape": {"width": frame.instance.columns, "height": frame.instance.rows},
        "dicom_image": image_reference(frame),
    }
