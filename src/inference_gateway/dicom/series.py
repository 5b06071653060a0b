"""Files in any order → series → stacks of frames in the order in which they lie in space.

A study is read from paths or binary files. What is not a DICOM image that can be decoded here is skipped,
with the reason. Only what places an image stays in memory: an instance reads its source again when its whole
header or its pixels are wanted. Costs one pass over the headers, and about half a kilobyte per image.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, overload

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from inference_gateway.dicom import attributes
from inference_gateway.dicom.fragments import Fragments
from inference_gateway.dicom.limits import Counts, LimitError, Limits, check_pixel_data, counts_of
from inference_gateway.dicom.sources import (
    BinaryFile,
    Source,
    opened,
    pixel_bytes,
    read_dataset,
    transfer_syntax,
)

Vector = tuple[float, float, float]

T = TypeVar("T")
_Shared = dict[Any, Any]

# What is read of a header: identity, how big the image is, and where it lies.
_WANTED = (
    *("SpecificCharacterSet", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("Modality", "InstanceNumber", "PhotometricInterpretation"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)

# Direction cosines that differ by less are one orientation; pixel spacings that differ by less (mm) are one.
_COSINE_TOLERANCE = 1e-3
_SPACING_TOLERANCE = 1e-3


class Place(NamedTuple):
    """Where a frame lies: see `Frame`."""

    position: Vector | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None


class Places(Sequence[Place]):
    """The places of `count` frames: those that frames have of their own come first, the others share one."""

    __slots__ = ("_count", "_own", "_shared")

    def __init__(self, own: tuple[Place, ...], shared: Place, count: int) -> None:
        self._own, self._shared, self._count = own, shared, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Place: ...
    @overload
    def __getitem__(self, at: slice) -> list[Place]: ...
    def __getitem__(self, at: int | slice) -> Place | list[Place]:
        if isinstance(at, slice):
            return [self[one] for one in range(self._count)[at]]
        one = range(self._count)[at]
        return self._own[one] if one < len(self._own) else self._shared


@dataclass(frozen=True, eq=False, slots=True)
class Instance:
    """One DICOM image: `index` is its place among the sources given, `places` are those of its frames.

    `instance_number` is None where the image has none. The representation shows nothing of the patient: it
    may end up in a log.
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
    places: Sequence[Place] = field(repr=False)
    limits: Limits = field(default=Limits(), repr=False)

    @property
    def number_of_frames(self) -> int:
        return len(self.places)

    def read(self) -> Dataset:
        """Return the whole dataset, pixel data included, read afresh from the source."""
        with opened(self.source, self.limits) as file:
            return read_dataset(file, header_only=False)

    def read_header(self) -> Dataset:
        """Return the whole dataset but for what comes from the pixel data on, read afresh from the source."""
        with opened(self.source, self.limits) as file:
            return read_dataset(file, header_only=True)


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One plane of pixels, `number` counted from 1 within its instance (PS3.3 C.7.6.6).

    `position` (ImagePositionPatient, mm), `orientation` (ImageOrientationPatient, the cosines of a row and
    of a column) and `pixel_spacing` (between rows, between columns, mm) are None where the image gives none.
    """

    instance: Instance
    number: int

    @property
    def position(self) -> Vector | None:
        return self.instance.places[self.number - 1].position

    @property
    def orientation(self) -> tuple[float, ...] | None:
        return self.instance.places[self.number - 1].orientation

    @property
    def pixel_spacing(self) -> tuple[float, ...] | None:
        return self.instance.places[self.number - 1].pixel_spacing

    @property
    def distance(self) -> float | None:
        """Position along the normal of the plane in mm (PS3.3 C.7.6.2.1.1), None where it is unknown."""
        if self.position is None or self.orientation is None:
            return None
        normal = _cross(self.orientation[:3], self.orientation[3:])
        return sum(a * b for a, b in zip(normal, self.position, strict=True))


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames of one series that make a volume: one matrix size, orientation and pixel spacing, in order.

    Frames that share a position (the phases of a beating heart) lie next to each other in one stack.
    """

    frames: tuple[Frame, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Depth, rows, columns."""
        return len(self.frames), self.frames[0].instance.rows, self.frames[0].instance.columns

    @property
    def timepoints(self) -> int:
        """Frames at each place; 1 where places are unknown, or have different numbers of frames."""
        places = Counter(_distance(frame) for frame in self.frames)
        numbers = set(places.values())
        return numbers.pop() if None not in places and len(numbers) == 1 else 1

    @property
    def spacing(self) -> Vector | None:
        """Distance in mm between planes, between rows, between columns; None where it is not known.

        Between planes: the median distance of neighbours, else SpacingBetweenSlices, else SliceThickness.
        """
        in_plane = self.frames[0].pixel_spacing
        between = self._plane_spacing()
        return None if in_plane is None or between is None else (between, in_plane[0], in_plane[1])

    def _plane_spacing(self) -> float | None:
        distances = [frame.distance for frame in self.frames]
        known = [distance for distance in distances if distance is not None]
        if len(known) == len(distances):
            steps = sorted(b - a for a, b in pairwise(known) if b - a > _SPACING_TOLERANCE)
            if steps:
                return steps[len(steps) // 2]
        first = self.frames[0]
        header = first.instance.read_header()
        for keyword in ("SpacingBetweenSlices", "SliceThickness"):
            found = attributes.frame_numbers(header, first.number, "PixelMeasuresSequence", keyword, 1)
            if found and found[0] != 0:
                return abs(found[0])  # NM images may give a negative distance (PS3.3 C.8.4.15)
        return None


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one series in order of arrival, and the same frames sorted into stacks."""

    series_instance_uid: str = field(repr=False)
    instances: tuple[Instance, ...]
    stacks: tuple[Stack, ...]

    @property
    def modality(self) -> str:
        return self.instances[0].modality


@dataclass(frozen=True)
class Skipped:
    """A source that is no usable image, by its place among the sources given; the reason quotes nothing.

    `is_object`: a whole DICOM object that came for the first time, such as a report, all the same.
    """

    index: int
    reason: str
    is_object: bool = False


@dataclass(frozen=True, eq=False)
class Study:
    """What was read: series in order of arrival, and what was left out."""

    series: tuple[Series, ...]
    skipped: tuple[Skipped, ...]

    @property
    def instances(self) -> list[Instance]:
        """Every image in order of arrival."""
        found = [instance for series in self.series for instance in series.instances]
        return sorted(found, key=lambda instance: instance.index)


class _Unusable(Exception):
    """A source that is left out; the message is the reason."""

    def __init__(self, reason: str, is_object: bool = False) -> None:
        super().__init__(reason)
        self.is_object = is_object


def read_study(
    sources: Iterable[Source], *, without_decoder: bool = False, limits: Limits | None = None
) -> Study:
    """Read DICOM images and sort them into series and stacks.

    `sources` are paths or binary files, which must stay readable as long as pixels are wanted. An image
    without SeriesInstanceUID is a series by itself; an image that came before (by SOPInstanceUID) is skipped.
    `without_decoder` keeps images that cannot be decoded here, for somebody else who can.
    `limits` say what one image may take. Raises `OSError` where a path cannot be read.
    """
    limits = limits or Limits()
    groups: dict[tuple[str, str], list[Instance]] = {}
    skipped: list[Skipped] = []
    seen: set[str] = set()
    shared: _Shared = {}
    for index, source in enumerate(sources):
        try:
            instance = _instance(index, source, without_decoder, shared, limits)
            if instance.sop_instance_uid in seen:
                raise _Unusable("an image with this SOP Instance UID came before")
        except _Unusable as reason:
            skipped.append(Skipped(index, str(reason), reason.is_object))
            continue
        seen.update({instance.sop_instance_uid} - {""})
        key = instance.study_instance_uid, instance.series_instance_uid or f"without UID, {index}"
        groups.setdefault(key, []).append(instance)
    return Study(tuple(map(_series, groups.values())), tuple(skipped))


def _instance(index: int, source: Source, without_decoder: bool, shared: _Shared, limits: Limits) -> Instance:
    with opened(source, limits) as file:
        try:
            header = read_dataset(file, header_only=True, tags=_WANTED)
            counts = _checked_counts(file, header, without_decoder, limits)
        except _Unusable:
            raise
        except InvalidDicomError:
            raise _Unusable("not a DICOM file") from None
        except LimitError as error:
            raise _Unusable(str(error), error.is_object) from None
        except Exception as error:  # on damaged files pydicom's parser raises whatever it trips over
            if isinstance(error, OSError) and error.errno is not None:  # it cannot be read at all
                raise
            raise _Unusable("a damaged DICOM file") from None

    def text(keyword: str) -> str:
        return _same(attributes.text(header, keyword), shared)

    return Instance(
        index,
        source,
        counts.rows,
        counts.columns,
        modality=text("Modality"),
        sop_instance_uid=attributes.text(header, "SOPInstanceUID"),
        study_instance_uid=text("StudyInstanceUID"),
        series_instance_uid=text("SeriesInstanceUID"),
        instance_number=attributes.integer(header, "InstanceNumber"),
        places=_places_of(header, counts.frames, shared),
        limits=limits,
    )


def _checked_counts(file: BinaryFile, header: Dataset, without_decoder: bool, limits: Limits) -> Counts:
    """Return what a header says of its size, once the pixel data is known to hold it and to be decodable.

    `file` stands where the header ended. Nothing is made for frames before this check has passed.
    """
    syntax = transfer_syntax(header)
    available = pixel_bytes(file, syntax)
    counts = counts_of(header)
    if available is None or not counts.rows or not counts.columns:
        raise _Unusable("no pixels", is_object=True)
    decodable = _is_decodable(syntax)
    if not decodable and not without_decoder:
        raise _Unusable("no decoder for its transfer syntax", is_object=True)
    check_pixel_data(header, counts, available, syntax, limits)
    if decodable and syntax and syntax.is_encapsulated and counts.frames > 1:
        Fragments(file, available, counts.frames).check()
    return counts


def _is_decodable(syntax: UID | None) -> bool:
    try:
        return syntax is not None and get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _series(instances: list[Instance]) -> Series:
    frames = [frame for instance in instances for frame in frames_of(instance)]
    return Series(instances[0].series_instance_uid, tuple(instances), _stacks(frames))


def frames_of(instance: Instance) -> Iterator[Frame]:
    """Yield the frames of an image in the order in which they are stored."""
    return (Frame(instance, number) for number in range(1, instance.number_of_frames + 1))


def _places_of(header: Dataset, frames: int, shared: _Shared) -> Places:
    """Return the places of frames: a frame of its own is made for those that the header tells apart."""
    told = min(frames, len(attributes.items(header, "PerFrameFunctionalGroupsSequence")))
    own = tuple(_place_of(header, number, shared) for number in range(1, told + 1))
    return Places(own, _place_of(header, told + 1, shared), frames)


def _place_of(header: Dataset, number: int, shared: _Shared) -> Place:
    find = partial(attributes.frame_numbers, header, number)
    position = find("PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = find("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = find("PixelMeasuresSequence", "PixelSpacing", 2)
    if spacing is not None and min(spacing) <= 0:
        spacing = None
    return Place(
        None if position is None else (position[0], position[1], position[2]),
        _same(orientation, shared),
        _same(spacing, shared),
    )


def _same(value: T, shared: _Shared) -> T:
    """Return an equal value that came before: most of a series' images say the same of the series."""
    found: T = shared.setdefault(value, value)
    return found


def _stacks(frames: Iterable[Frame]) -> tuple[Stack, ...]:
    groups: list[list[Frame]] = []
    for frame in frames:
        group = next((one for one in groups if _alike(one[0], frame)), None)
        if group is None:
            groups.append([frame])
        else:
            group.append(frame)
    return tuple(Stack(tuple(_in_order(group))) for group in groups)


def _alike(one: Frame, other: Frame) -> bool:
    return (
        (one.instance.rows, one.instance.columns) == (other.instance.rows, other.instance.columns)
        and _close(one.orientation, other.orientation, _COSINE_TOLERANCE)
        and _close(one.pixel_spacing, other.pixel_spacing, _SPACING_TOLERANCE)
    )


def _close(one: tuple[float, ...] | None, other: tuple[float, ...] | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return all(math.isclose(a, b, rel_tol=0.0, abs_tol=tolerance) for a, b in zip(one, other, strict=True))


def _in_order(frames: list[Frame]) -> list[Frame]:
    """Sort by distance along the normal, else by InstanceNumber, else leave the order of arrival.

    A key counts only where every frame has it. Ties fall through to the next key; distances are compared to
    the micrometre, so that frames at one place are ties.
    """
    places = [_distance(frame) for frame in frames]
    instance_numbers = [frame.instance.instance_number for frame in frames]
    by_distance = [one for one in places if one is not None]
    by_number = [one for one in instance_numbers if one is not None]
    first = by_distance if len(by_distance) == len(frames) else [0.0] * len(frames)
    second = by_number if len(by_number) == len(frames) else [0] * len(frames)
    order = sorted(range(len(frames)), key=lambda at: (first[at], second[at], at))
    return [frames[at] for at in order]


def _distance(frame: Frame) -> float | None:
    """Distance to the micrometre: frames at one place are ties."""
    return None if frame.distance is None else round(frame.distance, 3)


def _cross(a: tuple[float, ...], b: tuple[float, ...]) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
