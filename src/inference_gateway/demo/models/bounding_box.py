"""Boxes around what is found, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inference_gateway.demo.findings import find_in_stack
from inference_gateway.demo.models.answer import Answer, Json, answer
from inference_gateway.dicom.pixels import PixelDataError
from inference_gateway.dicom.series import Stack, read_study
from inference_gateway.dicom.sources import Source
from inference_gateway.study import Image


def bounding_box(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return a box for each image that shows a part of its series' region; both corners belong to the box."""
    boxes: list[Json] = []
    for series in read_study(inputs).series:
        for stack in series.stacks:
            try:
                boxes.extend(_boxes(stack))
            except PixelDataError:
                continue
    return answer(bounding_boxes_2d=boxes)


def _boxes(stack: Stack) -> list[Json]:
    finding = find_in_stack(stack)
    return [
        {
            "label": finding.label,
            **Image(stack.frames[plane]).reference,
            "top_left": [left, top],
            "bottom_right": [right, bottom],
        }
        for plane, (left, top, right, bottom) in finding.runs.boxes()
    ]
