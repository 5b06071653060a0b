"""A mask for every series, connected in space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inference_gateway.demo.findings import find_in_stack
from inference_gateway.demo.models.answer import Answer, Json, answer
from inference_gateway.demo.models.left_out import LeftOut
from inference_gateway.dicom.series import read_study
from inference_gateway.dicom.sources import Source


def segmentation_3d(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return a probability mask for each series, uint8 of (timepoint, depth, height, width), 0 or 255.

    Planes are in order of position along the slice normal. A series whose images differ in size, orientation
    or pixel spacing gives a mask for each stack of images that do not. Planes that cannot be decoded are 0 in
    it; where none can, there is no mask.
    """
    parts: list[Json] = []
    masks = []
    study = read_study(inputs, without_decoder=True)
    left_out = LeftOut(study)
    for series in study.series:
        for stack in series.stacks:
            finding = find_in_stack(stack)
            left_out.add(finding.left_out)
            if not finding.seen:
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
    return answer(left_out, parts, masks)
