"""A header → where each frame lies in space, and what tells frames at one place apart.

By frame and in this order: the functional groups of an enhanced image (PS3.3 C.7.6.16), the grid of a dose
(C.8.8.3.2), the slices of a nuclear medicine image (C.8.4.8, C.8.4.11), the image's own attributes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pydicom import Dataset

from inference_gateway.dicom import attributes
from inference_gateway.dicom.instances import Phase, Place, Vector, cross

Shared = dict[object, object]

T = TypeVar("T")

# What tells the frames at one place apart, the first that does so evenly: each may stand in the image or in a
# functional group (sequence, keyword). Times of day are text, as they sort; the others are numbers.
PHASE_KEYS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("", "TemporalPositionIdentifier"), ("FrameContentSequence", "TemporalPositionIndex")),
    (("", "AcquisitionNumber"), ("FrameContentSequence", "FrameAcquisitionNumber")),
    (
        ("FrameContentSequence", "FrameAcquisitionDateTime"),
        ("FrameContentSequence", "FrameReferenceDateTime"),
        ("", "AcquisitionDateTime"),
        ("", "AcquisitionTime"),
    ),
    (
        ("TemporalPositionSequence", "TemporalPositionTimeOffset"),
        ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
        ("", "TriggerTime"),
    ),
    (("MREchoSequence", "EffectiveEchoTime"), ("", "EchoTime")),
    (("MRDiffusionSequence", "DiffusionBValue"), ("", "DiffusionBValue")),
    (("FrameContentSequence", "DimensionIndexValues"),),
)

_TEXTS = ("FrameAcquisitionDateTime", "FrameReferenceDateTime", "AcquisitionDateTime", "AcquisitionTime")

# Of a nuclear medicine image: which slice, and which time, a frame is (PS3.3 C.8.4.8).
_NM_TIMES = ("PhaseVector", "RRIntervalVector", "TimeSlotVector", "TimeSliceVector", "EnergyWindowVector")

KEYWORDS = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("GridFrameOffsetVector", "DetectorInformationSequence", "SliceVector", "NumberOfSlices", *_NM_TIMES),
    *(keyword for key in PHASE_KEYS for sequence, keyword in key if not sequence),
)
"""The attributes of a header that `places_of` looks at."""


def places_of(header: Dataset, frames: int, shared: Shared) -> tuple[Place, ...]:
    """Return the place of each frame; `shared` keeps one copy of what many places say."""
    if attributes.items(header, "PerFrameFunctionalGroupsSequence") or attributes.items(
        header, "SharedFunctionalGroupsSequence"
    ):
        return tuple(_by_functional_groups(header, frames, shared))
    first = _place(header, (), shared)
    if frames > 1 and ("GridFrameOffsetVector" in header or attributes.text(header, "Modality") == "RTDOSE"):
        return _of_dose(header, first, frames)
    if attributes.items(header, "DetectorInformationSequence"):
        return _of_nuclear_medicine(header, first, frames, shared)
    return (first,) * frames


def same(value: T, shared: Shared) -> T:
    """Return an equal value that came before: most of a series' images say the same of the series."""
    found: T = shared.setdefault(value, value)  # type: ignore[assignment]  # what is kept under itself
    return found


def _by_functional_groups(header: Dataset, frames: int, shared: Shared) -> Iterable[Place]:
    own = attributes.items(header, "PerFrameFunctionalGroupsSequence")
    of_all = list(attributes.items(header, "SharedFunctionalGroupsSequence")[:1])
    for at in range(frames):
        yield _place(header, [*own[at : at + 1], *of_all], shared)


def _place(header: Dataset, groups: Iterable[Dataset], shared: Shared) -> Place:
    """Return what the functional groups of a frame say of its place, else what the image itself says."""

    def numbers(sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
        for group in groups:
            for item in attributes.items(group, sequence)[:1]:
                found = attributes.numbers(item, keyword, count)
                if found is not None:
                    return found
        return attributes.numbers(header, keyword, count)

    position = numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    spacing = numbers("PixelMeasuresSequence", "PixelSpacing", 2)
    if spacing is not None and min(spacing) <= 0:
        spacing = None
    return Place(
        None if position is None else (position[0], position[1], position[2]),
        same(_orientation(numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)), shared),
        same(spacing, shared),
        same(_phases(header, groups), shared),
    )


def _orientation(cosines: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Return cosines that span a plane, None where they do not: six zeros are no orientation."""
    if cosines is None:
        return None
    normal = cross(cosines[:3], cosines[3:])
    return cosines if sum(one * one for one in normal) > 0.25 else None


def _phases(header: Dataset, groups: Iterable[Dataset]) -> tuple[Phase, ...]:
    return tuple(_phase(key, header, groups) for key in PHASE_KEYS)


def _phase(key: tuple[tuple[str, str], ...], header: Dataset, groups: Iterable[Dataset]) -> Phase:
    for sequence, keyword in key:
        holders: Iterable[Dataset] = [header]
        if sequence:
            holders = [item for group in groups for item in attributes.items(group, sequence)[:1]]
        for holder in holders:
            found: Phase
            if keyword in _TEXTS:
                found = attributes.text(holder, keyword) or None
            elif keyword == "DimensionIndexValues":
                found = attributes.all_numbers(holder, keyword)
            else:
                found = attributes.number(holder, keyword)
            if found is not None:
                return found
    return None


def _of_dose(header: Dataset, first: Place, frames: int) -> tuple[Place, ...]:
    """Return the planes of a dose: offsets from the first one, or their z coordinates (PS3.3 C.8.8.3.2)."""
    offsets = attributes.numbers(header, "GridFrameOffsetVector", frames)
    if offsets is None or first.position is None or first.orientation is None:
        return (first._replace(position=None),) * frames
    normal = cross(first.orientation[:3], first.orientation[3:])
    if offsets[0] != 0 and abs(offsets[0] - first.position[2]) < 1e-3:
        x, y, _ = first.position
        return tuple(first._replace(position=(x, y, offset)) for offset in offsets)
    return tuple(
        first._replace(position=_moved(first.position, normal, offset - offsets[0])) for offset in offsets
    )


def _of_nuclear_medicine(header: Dataset, first: Place, frames: int, shared: Shared) -> tuple[Place, ...]:
    """Return the slices of a reconstruction, from the first one on.

    The sign of their spacing says on which side of it (PS3.3 C.8.4.15). The frames of other images are no
    slices, and have no position.
    """
    detector = attributes.items(header, "DetectorInformationSequence")[0]
    found = attributes.numbers(detector, "ImagePositionPatient", 3)
    position = first.position if found is None else (found[0], found[1], found[2])
    orientation = _orientation(attributes.numbers(detector, "ImageOrientationPatient", 6))
    orientation = same(first.orientation if orientation is None else orientation, shared)
    slices = attributes.numbers(header, "SliceVector", frames)
    if slices is None and attributes.integer(header, "NumberOfSlices") == frames:
        slices = tuple(float(number) for number in range(1, frames + 1))
    spacing = attributes.number(header, "SpacingBetweenSlices")
    times = [attributes.numbers(header, keyword, frames) for keyword in _NM_TIMES]
    placed = position is not None and orientation is not None and slices is not None
    places = []
    for at in range(frames):
        here = position if frames == 1 else None
        if placed and spacing is not None:
            assert position is not None
            assert orientation is not None
            assert slices is not None
            normal = cross(orientation[:3], orientation[3:])
            here = _moved(position, normal, (slices[at] - 1.0) * spacing)
        when = tuple(time[at] for time in times if time is not None)
        phases = same((when, *first.phases[1:]), shared) if when else first.phases
        places.append(Place(here, orientation, first.pixel_spacing, phases))
    return tuple(places)


def _moved(position: Vector, along: Vector, by: float) -> Vector:
    return position[0] + along[0] * by, position[1] + along[1] * by, position[2] + along[2] * by
