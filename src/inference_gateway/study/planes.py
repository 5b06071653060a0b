"""What planes in the order of space say of themselves, one frame each."""

from __future__ import annotations

from collections.abc import Sequence

from inference_gateway.dicom.instances import Frame


class Planes:
    """A base of what has `frames`: the frame of each plane, all planes of a timepoint, then of the next."""

    frames: tuple[Frame, ...]

    @property
    def modality(self) -> str:
        """Modality of its images, such as "CT"."""
        return self.frames[0].instance.modality

    @property
    def series_instance_uid(self) -> str:
        """SeriesInstanceUID of its images."""
        return self.frames[0].instance.series_instance_uid

    @property
    def study_instance_uid(self) -> str:
        """StudyInstanceUID of its images."""
        return self.frames[0].instance.study_instance_uid

    @property
    def sop_instance_uids(self) -> Sequence[str]:
        """SOPInstanceUID of each plane."""
        return [frame.instance.sop_instance_uid for frame in self.frames]

    @property
    def frame_numbers(self) -> Sequence[int]:
        """Number of each plane in its image, from 1."""
        return [frame.number for frame in self.frames]
