"""One DICOM image and its frames: what is kept of it in memory, and how the rest is read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pydicom import Dataset

from inference_gateway.dicom.limits import Limits
from inference_gateway.dicom.sources import Source, opened, read_dataset

Vector = tuple[float, float, float]

# A value of an attribute that tells frames at one place apart: a number, a time as text, or index values.
Phase = float | str | tuple[float, ...] | None


class Place(NamedTuple):
    """Where a frame lies: see `Frame`. `phases` has a value, or None, for each key of `places.PHASE_KEYS`."""

    position: Vector | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    phases: tuple[Phase, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Instance:
    """One DICOM image: `index` is its place among the sources given, `places` are those of its frames.

    `instance_number` is None where the image has none. `undecodable` says why its pixels cannot be decoded
    here, and what helps; it is "" where they can. `tiled`: the frames are tiles of one large plane (PS3.3
    C.8.12.14). `localizer`: it shows where other images lie (value 3 of ImageType, PS3.3 C.8.2.1.1.1).
    `limits` say what reading it may take. The representation shows nothing of the patient: it may end up in a
    log.
    """

    index: int
    source: Source = field(repr=False)
    rows: int
    columns: int
    modality: str
    sop_instance_uid: str = field(repr=False)
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    instance_number: int | None = field(repr=False)
    places: tuple[Place, ...] = field(repr=False)
    undecodable: str = ""
    tiled: bool = False
    sop_class_uid: str = field(default="", repr=False)
    localizer: bool = False
    limits: Limits = field(default=Limits(), repr=False)

    @property
    def number_of_frames(self) -> int:
        """Return how many frames the object has: one, or those of a multi-frame image."""
        return len(self.places)

    def read(self) -> Dataset:
        """Return the whole dataset, pixel data included, read afresh from the source."""
        with opened(self.source, self.limits) as file:
            return read_dataset(file, header_only=False)

    def read_header(self) -> Dataset:
        """Return the whole dataset but for what comes from the pixel data on, read afresh from the source."""
        with opened(self.source, self.limits) as file:
            return read_dataset(file, header_only=True)


class Peers:
    """The frames that are shown on one range of grey: those of a stack.

    `range` is their least and greatest value, once somebody has looked.
    """

    __slots__ = ("members", "range")

    def __init__(self) -> None:
        self.members: list[tuple[Instance, int]] = []
        self.range: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One plane of pixels, `number` counted from 1 within its instance (PS3.3 C.7.6.6).

    `position` (ImagePositionPatient, mm), `orientation` (ImageOrientationPatient, the cosines of a row and
    of a column) and `pixel_spacing` (between rows, between columns, mm) are None where the image gives none.
    `peers` are the frames of its stack; without a stack those of its image.
    """

    instance: Instance
    number: int
    peers: Peers | None = field(default=None, repr=False)

    @property
    def place(self) -> Place:
        """Return where it lies, with all that its object says of that."""
        return self.instance.places[self.number - 1]

    @property
    def position(self) -> Vector | None:
        """Return the centre of its first pixel, mm in patient coordinates (PS3.3 C.7.6.2.1.1)."""
        return self.place.position

    @property
    def orientation(self) -> tuple[float, ...] | None:
        """Return the directions of its rows and columns, six cosines (PS3.3 C.7.6.2.1.1)."""
        return self.place.orientation

    @property
    def pixel_spacing(self) -> tuple[float, ...] | None:
        """Return the distance of its rows and of its columns, mm (PS3.3 10.7.1.3)."""
        return self.place.pixel_spacing

    @property
    def normal(self) -> Vector | None:
        """Unit vector across the plane (PS3.3 C.7.6.2.1.1), None where the orientation is unknown."""
        return None if self.orientation is None else cross(self.orientation[:3], self.orientation[3:])

    @property
    def distance(self) -> float | None:
        """Position along the normal of the plane in mm (PS3.3 C.7.6.2.1.1), None where it is unknown."""
        if self.position is None or self.normal is None:
            return None
        return sum(a * b for a, b in zip(self.normal, self.position, strict=True))


def frames_of(instance: Instance) -> Iterator[Frame]:
    """Yield the frames of an image in the order in which they are stored."""
    peers = Peers()
    peers.members = [(instance, number) for number in range(1, instance.number_of_frames + 1)]
    return (Frame(instance, number, peers) for _, number in peers.members)


def cross(a: tuple[float, ...], b: tuple[float, ...]) -> Vector:
    """Return the vector that stands on both, three numbers each."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
