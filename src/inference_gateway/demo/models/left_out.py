"""The images of a study that a model has not looked at, counted by reason: what its answer says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from inference_gateway.dicom.instances import Instance
from inference_gateway.dicom.series import NO_DICOM, NO_PIXELS, Study

# Reasons that are told one by one: some have numbers in them.
_MOST_REASONS = 20


class LeftOut:
    """What was left out of a study when it was read, and what a model adds."""

    def __init__(self, study: Study) -> None:
        no_image = (NO_DICOM, NO_PIXELS)
        self._reasons = Counter(one.reason for one in study.skipped if one.reason not in no_image)

    def add(self, images: Mapping[Instance, str]) -> None:
        """Count images that a model has not looked at, or not at all of their frames, by the reason."""
        self._reasons.update(images.values())

    @property
    def sentences(self) -> list[str]:
        """What was left out and why, for `dicomConformance`; nothing of the images is quoted."""
        told = self._reasons.most_common(_MOST_REASONS)
        more = self._reasons.total() - sum(count for _, count in told)
        return [
            *(f"{_images(count)} left out: {reason}" for reason, count in told),
            *([f"{_images(more)} left out for other reasons"] if more else []),
        ]


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
