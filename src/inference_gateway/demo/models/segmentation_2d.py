"""A mask for every image, each looked at by itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.demo.findings import find_in_pixels
from inference_gateway.demo.models.answer import Answer, Json, answer
from inference_gateway.dicom.pixels import PixelDataError, read_frames
from inference_gateway.dicom.series import frames_of, read_study
from inference_gateway.dicom.sources import Source
from inference_gateway.study import Image, mask_part


def segmentation_2d(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return a probability mask, uint8 of (height, width), 0 or 255, for each frame in order of arrival."""
    parts: list[Json] = []
    masks: list[NDArray[np.uint8]] = []
    for instance in read_study(inputs).instances:
        with suppress(PixelDataError):  # an image that cannot be decoded has no masks from there on
            for pixels in read_frames(frames_of(instance)):
                finding = find_in_pixels(pixels)
                masks.append(finding.mask()[0])
                parts.append(mask_part(Image(pixels.frame), masks[-1], label=finding.label))
    return answer(parts, masks)
