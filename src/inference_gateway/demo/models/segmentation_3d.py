"""A mask for every series, connected in space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inference_gateway.demo.findings import find_in_stack
from inference_gateway.demo.models.answer import Answer, Json, answer
from inference_gateway.dicom.pixels import PixelDataError
from inference_gateway.dicom.series import read_study
from inference_gateway.dicom.sources import Source


def segmentation_3d(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return a probability mask for each series, uint8 of (timepoint, depth, height, width), 0 or 255.

    Planes are in order of position along the slice normal. A series whose images differ in size, orientation
    or pixel spacing gives a mask for each stack of images that do not.
    """
    parts: list[Json] = []
    masks = []
    for series in read_study(inputs).series:
        for stack in series.stacks:
            try:
                finding = find_in_stack(stack)
            except PixelDataError:
                continue
            depth, height, width = stack.shape
            parts.append(
                {
                    "label": finding.label,
                    "binary_type": "probability_mask",
                    "binary_data_shape": {"timepoints": 1, "depth": depth, "width": width, "height": height},
                    "SeriesInstanceUID": series.series_instance_uid,
                }
            )
            masks.append(finding.mask()[None])
    return answer(parts, masks)
