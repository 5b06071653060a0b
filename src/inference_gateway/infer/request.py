"""What of a study is sent, in which order, and the JSON that goes before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inference_gateway.dicom.series import Frame, Instance, Stack, Study


def images_in_order(study: Study) -> list[Instance]:
    """Return each image once: by series, by stack, by timepoint, by place along the normal."""
    frames = (frame for series in study.series for stack in series.stacks for frame in by_timepoint(stack))
    return list(dict.fromkeys(frame.instance for frame in frames))


def by_timepoint(stack: Stack) -> Iterator[Frame]:
    """Yield the frames of a stack: all places of the first timepoint, then all of the next."""
    for timepoint in range(stack.timepoints):
        yield from stack.frames[timepoint :: stack.timepoints]


def objects_in_order(study: Study, paths: Sequence[Path]) -> list[Path]:
    """Return the files to send: images in order, then DICOM objects that are no images as they came.

    `paths` are those that the study was read from.
    """
    images = [paths[instance.index] for instance in images_in_order(study)]
    return images + [paths[skipped.index] for skipped in study.skipped if skipped.is_object]


def request_json(
    study: Study,
    *,
    inference_command: str = "",
    options: Mapping[str, str] | None = None,
    study_size: bool = False,
    study_path: str = "",
) -> dict[str, Any]:
    """Return the JSON of a request: `studyUID` of the first image, and what is asked for besides.

    `study_size` adds `depth`, the number of images, and `height` and `width` of the first.
    """
    images = images_in_order(study)
    found: dict[str, Any] = {}
    if images:
        found["studyUID"] = images[0].study_instance_uid
    if inference_command:
        found["inference_command"] = inference_command
    found.update(options or {})
    if study_path:
        found["studyPath"] = study_path
    if study_size:
        first = (images[0].rows, images[0].columns) if images else (0, 0)
        found.update(depth=len(images), height=first[0], width=first[1])
    return found
