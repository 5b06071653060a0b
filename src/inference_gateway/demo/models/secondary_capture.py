"""A picture of what is found in each series, as a DICOM object that any viewer shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from inference_gateway.demo.findings import Finding, find_in_stack
from inference_gateway.demo.models.answer import Answer, Json, answer
from inference_gateway.demo.models.left_out import LeftOut
from inference_gateway.dicom.series import read_study
from inference_gateway.dicom.sources import Source
from inference_gateway.study import Image, StudyError, make_overlay


def secondary_capture(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return for each stack of images the one that shows most of its region, drawn over, as RGB.

    Captures of one request make one new series in each study.
    """
    parts: list[Json] = []
    captures: list[Dataset] = []
    new_series: dict[str, str] = {}
    study = read_study(inputs, without_decoder=True)
    left_out = LeftOut(study)
    for series in study.series:
        new_uid = new_series.setdefault(series.instances[0].study_instance_uid, generate_uid(prefix=None))
        for stack in series.stacks:
            finding = find_in_stack(stack)
            left_out.add(finding.left_out)
            if not finding.seen:
                continue
            plane = _key_plane(finding)
            try:
                capture = make_overlay(
                    Image(stack.frames[plane]),
                    finding.runs.in_plane(plane),
                    finding.label,
                    caption="" if finding.found else f"no {finding.label}",
                    series_instance_uid=new_uid,
                    number=len(captures) + 1,
                    description="Demo model",
                )
            except StudyError as error:
                left_out.add({stack.frames[plane].instance: str(error)})
                continue
            captures.append(capture)
            parts.append(
                {
                    "label": finding.label,
                    "binary_type": "dicom_secondary_capture",
                    "SeriesInstanceUID": series.series_instance_uid,
                }
            )
    return answer(left_out, parts, captures)


def _key_plane(finding: Finding) -> int:
    """Return the plane that shows most of the region, else that in the middle of those seen."""
    areas = finding.runs.areas()
    return max(areas, key=lambda at: areas[at]) if areas else finding.seen[len(finding.seen) // 2]
