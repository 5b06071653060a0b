"""Labels for the study and for each of its series."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from inference_gateway.demo.findings import find_in_stack
from inference_gateway.demo.models.answer import Answer, Json, answer
from inference_gateway.demo.models.left_out import LeftOut
from inference_gateway.dicom.series import Series, Stack, read_study
from inference_gateway.dicom.sources import Source


def classification(json_input: Any, inputs: Sequence[Source], input_hash: str) -> Answer:
    """Return for each series what its largest region is and how big, and for the study what its series hold.

    `volume_ml` is there where the images give their spacing. A series without SeriesInstanceUID or without
    readable pixels has no entry.
    """
    labels: dict[str, Json] = {}
    study = read_study(inputs, without_decoder=True)
    left_out = LeftOut(study)
    for series in study.series:
        findings = [found for stack in series.stacks if (found := _classified(stack, left_out)) is not None]
        if findings and series.series_instance_uid:
            labels[series.series_instance_uid] = _entry(series, findings)
    names = sorted({entry["label"] for entry in labels.values()} - {"nothing found"})
    return answer(
        left_out,
        series_ml_json=labels,
        study_ml_json={"label": ", ".join(names) or "nothing found", "series": len(labels)},
    )


def _classified(stack: Stack, left_out: LeftOut) -> Json | None:
    """Return label and size of the region in a stack, None where none of its pixels can be decoded."""
    finding = find_in_stack(stack)
    left_out.add(finding.left_out)
    if not finding.seen:
        return None
    entry: Json = {
        "label": finding.label if finding.found else "nothing found",
        "voxels": finding.runs.voxels,
    }
    if stack.spacing is not None:
        entry["volume_ml"] = round(finding.runs.voxels * prod(stack.spacing) / 1000.0, 3)
    return entry


def _entry(series: Series, findings: list[Json]) -> Json:
    return {**max(findings, key=lambda entry: int(entry["voxels"])), "images": len(series.instances)}
