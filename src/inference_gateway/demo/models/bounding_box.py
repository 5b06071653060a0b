"""Boxes around what is found, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inference_gateway.demo.findings import Finding, find_in_stack
from inference_gateway.demo.models.answer import Answer, Json, answer
from inference_gateway.demo.models.left_out import LeftOut
from inference_gateway.dicom.series import Stack, read_study
from inference_gateway.dicom.sources import Source
from inference_gateway.study import Image


def bounding_box(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return a box for each image that shows a part of its series' region; both corners belong to the box."""
    boxes: list[Json] = []
    study = read_study(inputs, without_decoder=True)
    left_out = LeftOut(study)
    for series in study.series:
        for stack in series.stacks:
            finding = find_in_stack(stack)
            left_out.add(finding.left_out)
            boxes.extend(_boxes(stack, finding))
    return answer(left_out, bounding_boxes_2d=boxes)


def _boxes(stack: Stack, finding: Finding) -> list[Json]:
    return [
        {
            "label": finding.label,
            **Image(stack.frames[plane]).reference,
            "top_left": [left, top],
            "bottom_right": [right, bottom],
        }
        for plane, (left, top, right, bottom) in finding.runs.boxes()
    ]
