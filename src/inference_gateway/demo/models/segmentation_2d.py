"""A mask for every image, each looked at by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.demo.findings import Finding, find_in_pixels
from inference_gateway.demo.models.answer import Answer, Json, answer
from inference_gateway.demo.models.left_out import LeftOut
from inference_gateway.dicom.instances import Frame, Instance
from inference_gateway.dicom.pixels import PixelDataError, Pixels, attempt_frames
from inference_gateway.dicom.series import frames_of, read_study
from inference_gateway.dicom.sources import Source
from inference_gateway.study import Image, mask_part


def segmentation_2d(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return a probability mask, uint8 of (height, width), 0 or 255, for each frame in order of arrival."""
    parts: list[Json] = []
    masks: list[NDArray[np.uint8]] = []
    study = read_study(inputs, without_decoder=True)
    left_out = LeftOut(study)
    for instance in study.instances:
        undecodable: dict[Instance, str] = {}
        for pixels in attempt_frames(frames_of(instance)):
            try:
                frame, finding = _found(pixels)
            except PixelDataError as error:
                undecodable[instance] = str(error)
                continue
            masks.append(finding.mask()[0])
            parts.append(mask_part(Image(frame), masks[-1], label=finding.label))
        left_out.add(undecodable)
    return answer(left_out, parts, masks)


def _found(pixels: Pixels | PixelDataError) -> tuple[Frame, Finding]:
    if isinstance(pixels, PixelDataError):
        raise pixels
    return pixels.frame, find_in_pixels(pixels)
