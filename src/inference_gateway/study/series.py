"""The images of one series that make a volume, at one time or at several."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from pydicom import Dataset

from inference_gateway.dicom.instances import Frame, Vector
from inference_gateway.dicom.irregularities import TOLERANCE
from inference_gateway.dicom.stacks import Stack
from inference_gateway.study.errors import StudyError
from inference_gateway.study.images import Image, values_of
from inference_gateway.study.planes import Planes
from inference_gateway.study.volume import Volume

# Irregularities that an error names.
_MOST_NAMED = 3


@dataclass(frozen=True, eq=False)
class Series(Planes):
    """Images of one DICOM series with one size, orientation and pixel spacing, sorted along their normal.

    A DICOM series whose images differ in these is several of it, with one UID. `of_study` says what of the
    study may be missing here.
    """

    stack: Stack = field(repr=False)
    of_study: tuple[str, ...] = field(default=(), repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Depth, rows, columns of one timepoint."""
        return len(self.stack.places), *self.stack.shape[1:]

    @property
    def timepoints(self) -> int:
        """Images at each place; 1 where places have different numbers of images, which is irregular."""
        return self.stack.timepoints

    @property
    def spacing(self) -> Vector | None:
        """Distance in mm between planes, rows and columns; None where it is not known."""
        return self.stack.spacing

    @cached_property
    def frames(self) -> tuple[Frame, ...]:  # type: ignore[override]  # read-only, as all of it
        """The frame of each plane: all planes of the first timepoint, then of the next."""
        return tuple(place[at] for at in range(self.timepoints) for place in self.stack.places)

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """Every image in the order of space, one timepoint after the other where none is lost."""
        every = len(self.frames) == len(self.stack.frames)
        return tuple(map(Image, self.frames if every else self.stack.frames))

    @property
    def irregularities(self) -> tuple[str, ...]:
        """What keeps it from being one volume at each timepoint, with numbers; () where nothing does."""
        return self._irregularities(TOLERANCE)

    def header(self) -> Dataset:
        """Return the dataset of the first image, but for its pixel data."""
        return self.frames[0].instance.read_header()

    def volume(
        self, timepoint: int | None = None, *, strict: bool = True, tolerance: float = TOLERANCE
    ) -> Volume:
        """Return the volume of a timepoint, counted from 0, decoded on all cores.

        `strict`: whatever keeps the series from being a volume is an error: a gap, a duplicate, images of
        several phases of which some are lost or of which none is chosen, planes that are shifted sideways,
        images without position, an image that was left out. Otherwise the first image of each place is taken,
        and spacing and affine are those of the usual step. `tolerance` is the part of a step by which a plane
        may lie beside its place on an even grid. Raises `StudyError`, with the numbers; where an image cannot
        be decoded in either case.
        """
        if strict:
            self._check(tolerance)
        count = self.timepoints
        if timepoint is None:
            if strict and count > 1:
                raise StudyError(
                    f"the series has {count} timepoints of {self.shape[0]} planes each, and none is chosen"
                )
            timepoint = 0
        if not 0 <= timepoint < count:
            raise StudyError(f"the series has {count} timepoints, and number {timepoint} of them is wanted")
        depth = self.shape[0]
        frames = self.frames[timepoint * depth : (timepoint + 1) * depth]
        return Volume(values_of(frames), self.spacing, frames, self.stack.affine, timepoint)

    def volumes(self, *, strict: bool = True, tolerance: float = TOLERANCE) -> tuple[Volume, ...]:
        """Return the volume of each timepoint: see `volume`."""
        return tuple(self.volume(at, strict=strict, tolerance=tolerance) for at in range(self.timepoints))

    def _check(self, tolerance: float) -> None:
        found = self._irregularities(tolerance)
        if found:
            more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            raise StudyError(f"the series is no regular volume: {'; '.join(found[:_MOST_NAMED])}{more}")

    def _irregularities(self, tolerance: float) -> tuple[str, ...]:
        return (*self.stack.irregularities_beyond(tolerance), *self.of_study)
