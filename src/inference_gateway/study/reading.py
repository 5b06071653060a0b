"""The inputs of a request → series that make volumes, and what is set apart, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from inference_gateway.dicom import series as dicom
from inference_gateway.dicom.instances import Instance, frames_of
from inference_gateway.dicom.irregularities import TOLERANCE
from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.segments import SOP_CLASSES as SEGMENTATIONS
from inference_gateway.dicom.sources import Source
from inference_gateway.study.errors import StudyError
from inference_gateway.study.images import Image
from inference_gateway.study.series import Series
from inference_gateway.study.volume import Volume


@dataclass(frozen=True)
class SetApart:
    """An input that is in no series: `index` is its place among the inputs; the reason quotes nothing."""

    index: int
    reason: str


@dataclass(frozen=True, eq=False)
class Study:
    """What was read: series in order of arrival, and what was set apart."""

    series: tuple[Series, ...]
    set_apart: tuple[SetApart, ...]
    instances: tuple[Instance, ...] = field(repr=False)

    @property
    def images(self) -> list[Image]:
        """Every image of the series, in order of arrival; each frame of a multi-frame image."""
        return [Image(frame) for frame in chain.from_iterable(map(frames_of, self.instances))]

    def volume(
        self,
        modality: str | None = None,
        timepoint: int | None = None,
        *,
        strict: bool = True,
        tolerance: float = TOLERANCE,
    ) -> Volume:
        """Return the one volume of the study: of the only series of a modality with more planes than one.

        Raises `StudyError` where there is none, or more than one, and where `Series.volume` does.
        """
        found = [one for one in self.series if modality is None or one.modality == modality]
        deep = [one for one in found if one.shape[0] > 1 and one.frames[0].distance is not None]
        kind = "images" if modality is None else f"{modality} images"
        if not found:
            raise StudyError(f"the study has no {kind} that can be read: {self._count_apart()}")
        if len(deep) != 1 and len(found) > 1:
            wanted = "and exactly one is wanted"
            raise StudyError(f"the study has {len(deep)} series of {kind} that have several planes, {wanted}")
        (one,) = deep if len(deep) == 1 else found
        return one.volume(timepoint, strict=strict, tolerance=tolerance)

    def _count_apart(self) -> str:
        count = len(self.set_apart)
        return f"{count} {'input was' if count == 1 else 'inputs were'} set apart"


def read_study(inputs: Iterable[Source], *, limits: Limits | None = None) -> Study:
    """Read the inputs of a request, in any order, or paths; pixels stay where they are until they are wanted.

    Localizers, segmentations and what is no image that can be read are set apart. `limits` say what one image
    may take.
    """
    found = dicom.read_study(inputs, limits=limits, apart=_apart)
    stray = sum(one.is_stray for one in found.skipped)
    of_study = (f"{stray} of the inputs may be an image of it, and cannot be read",) if stray else ()
    return Study(
        tuple(Series(stack, of_study) for series in found.series for stack in series.stacks),
        tuple(SetApart(one.index, one.reason) for one in found.skipped),
        tuple(found.instances),
    )


def _apart(instance: Instance) -> str:
    """Return the reason for which an image is no part of a series that a model looks at, "" for others."""
    if instance.localizer:
        return "a localizer"
    return "a segmentation" if instance.sop_class_uid in SEGMENTATIONS else ""
