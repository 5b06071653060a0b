"""Files in any order → series → stacks of frames in the order in which they lie in space.

A study is read from paths or binary files. What is not a DICOM image that can be decoded here is skipped,
with the reason. Only what places an image stays in memory: an instance reads its source again when its whole
header or its pixels are wanted. Costs one pass over the headers, and about half a kilobyte per image.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from inference_gateway.dicom import attributes, codecs
from inference_gateway.dicom.fragments import Fragments
from inference_gateway.dicom.instances import Frame, Instance, Place, Vector, frames_of
from inference_gateway.dicom.limits import Counts, LimitError, Limits, check_pixel_data, counts_of
from inference_gateway.dicom.places import KEYWORDS, Shared, places_of, same
from inference_gateway.dicom.sources import (
    BinaryFile,
    Source,
    opened,
    pixel_element,
    read_dataset,
)
from inference_gateway.dicom.stacks import Stack, stacks_of

__all__ = [
    "NO_DICOM",
    "NO_PIXELS",
    "BinaryFile",
    "Frame",
    "Instance",
    "Place",
    "Series",
    "Skipped",
    "Source",
    "Stack",
    "Study",
    "Vector",
    "frames_of",
    "read_study",
]

NO_DICOM = "not a DICOM file"
"""The reason for which what is no DICOM is skipped."""

NO_PIXELS = "no pixels"
"""The reason for which a whole object that is no image is skipped."""

# What is read of a header: identity, how big the image is, and where it lies.
_WANTED = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("ImageType", "Modality", "InstanceNumber", "PhotometricInterpretation"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "TotalPixelMatrixColumns"),
    *KEYWORDS,
)

# Reasons for which images of a series are left out that its stacks tell one by one.
_MOST_REASONS = 3


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one series in order of arrival, and the same frames sorted into stacks."""

    series_instance_uid: str = field(repr=False)
    instances: tuple[Instance, ...]
    stacks: tuple[Stack, ...]

    @property
    def modality(self) -> str:
        """Return the modality of its first object, such as CT; empty where it has none."""
        return self.instances[0].modality


@dataclass(frozen=True)
class Skipped:
    """A source that is no usable image, by its place among the sources given; the reason quotes nothing.

    `is_object`: a whole DICOM object that came for the first time, such as a report, all the same.
    `is_stray`: it may be an image of any series.
    """

    index: int
    reason: str
    is_object: bool = False
    is_stray: bool = False


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
    """A source that is left out; the message is the reason.

    `series`: (study, series) UIDs of an image whose absence its series has to say, "" where not known.
    """

    def __init__(
        self, reason: str, *, is_object: bool = False, series: tuple[str, str] | None = None
    ) -> None:
        super().__init__(reason)
        self.is_object = is_object
        self.series = series


def read_study(
    sources: Iterable[Source],
    *,
    without_decoder: bool = False,
    limits: Limits | None = None,
    apart: Callable[[Instance], str] = lambda instance: "",
) -> Study:
    """Read DICOM images and sort them into series and stacks.

    `sources` are paths or binary files, which must stay readable as long as pixels are wanted. An image
    without SeriesInstanceUID is a series by itself; an image that came before (by SOPInstanceUID) is skipped.
    `without_decoder` keeps images that cannot be decoded here, for somebody else who can.
    `limits` say what one image may take. `apart` returns the reason for which a whole image is no part of a
    series, "" where it is one. Raises `OSError` where a path cannot be read.
    """
    limits = limits or Limits()
    groups: dict[tuple[str, str], list[Instance]] = {}
    left_out: dict[tuple[str, str], Counter[str]] = {}
    skipped: list[Skipped] = []
    seen: set[str] = set()
    shared: Shared = {}
    for index, source in enumerate(sources):
        try:
            instance = _instance(index, source, without_decoder, shared, limits)
            of_series = instance.study_instance_uid, instance.series_instance_uid
            if reason_apart := apart(instance):
                raise _Unusable(reason_apart, is_object=True)
            if instance.sop_instance_uid in seen:
                raise _Unusable("an image with this SOP Instance UID came before", series=of_series)
        except _Unusable as reason:
            is_stray = reason.series is not None and not all(reason.series)
            skipped.append(Skipped(index, str(reason), reason.is_object, is_stray))
            if reason.series is not None:
                left_out.setdefault(reason.series, Counter())[str(reason)] += 1
            continue
        seen.update({instance.sop_instance_uid} - {""})
        key = instance.study_instance_uid, instance.series_instance_uid or f"without UID, {index}"
        groups.setdefault(key, []).append(instance)
    series = [_series(group, left_out.get(key, Counter())) for key, group in groups.items()]
    return Study(tuple(series), tuple(skipped))


def _series(instances: list[Instance], left_out: Counter[str]) -> Series:
    frames = (frame for instance in instances for frame in frames_of(instance))
    said = [
        f"{count} {'image' if count == 1 else 'images'} of its series left out: {reason}"
        for reason, count in left_out.most_common(_MOST_REASONS)
    ]
    more = left_out.total() - sum(count for _, count in left_out.most_common(_MOST_REASONS))
    if more:
        said.append(f"{more} more images of its series left out")
    return Series(instances[0].series_instance_uid, tuple(instances), stacks_of(frames, said))


def _instance(index: int, source: Source, without_decoder: bool, shared: Shared, limits: Limits) -> Instance:
    with opened(source, limits) as file:
        try:
            header = read_dataset(file, header_only=True, tags=_WANTED)
        except InvalidDicomError:
            raise _Unusable(NO_DICOM) from None
        except Exception as error:
            raise _unusable(error) from None
        undecodable = codecs.undecodable(header.file_meta.get("TransferSyntaxUID"))
        try:
            counts = _checked_counts(file, header, undecodable, without_decoder, limits)
        except Exception as error:
            raise _unusable(error, _series_of(header)) from None

    def text(keyword: str) -> str:
        return same(attributes.text(header, keyword), shared)

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
        places=places_of(header, counts.frames, shared),
        undecodable=undecodable,
        tiled="TotalPixelMatrixColumns" in header,
        sop_class_uid=text("SOPClassUID"),
        localizer="LOCALIZER" in attributes.texts(header, "ImageType"),
        limits=limits,
    )


def _series_of(header: Dataset) -> tuple[str, str]:
    return attributes.text(header, "StudyInstanceUID"), attributes.text(header, "SeriesInstanceUID")


def _unusable(error: Exception, series: tuple[str, str] | None = None) -> Exception:
    """Return why a source is left out; what cannot be read at all is an error of its own."""
    if isinstance(error, _Unusable) or (isinstance(error, OSError) and error.errno is not None):
        return error
    if isinstance(error, LimitError):
        return _Unusable(str(error), is_object=error.is_object, series=series)
    return _Unusable("a damaged DICOM file", series=("", ""))  # pydicom's parser raises whatever


def _without_pixels(header: Dataset) -> _Unusable:
    """Return why an object without pixels is left out: it is no image, or one that was cut off.

    What is cut before Rows may say half of its series, or of its kind: it may be of any.
    """
    own = attributes.text(header, "SOPClassUID")
    meta = attributes.text(header.file_meta, "MediaStorageSOPClassUID")
    kind = UID(own or meta, validation_mode=IGNORE)
    if not kind.name.endswith("Image Storage") and (kind.name != kind or (own and own == meta)):
        return _Unusable(NO_PIXELS, is_object=True)
    series = _series_of(header) if "Rows" in header else ("", "")
    return _Unusable(NO_PIXELS, is_object=True, series=series)


def _checked_counts(
    file: BinaryFile, header: Dataset, undecodable: str, without_decoder: bool, limits: Limits
) -> Counts:
    """Return what a header says of its size, once the pixel data is known to hold it and to be decodable.

    `file` stands where the header ended. Nothing is made for frames before this check has passed.
    """
    found: UID | None = header.file_meta.get("TransferSyntaxUID")
    syntax = found if found and found.is_transfer_syntax else None
    element = pixel_element(file, little=syntax is None or syntax.is_little_endian)
    counts = counts_of(header)
    if element is None or not counts.rows or not counts.columns:
        raise _without_pixels(header)
    if undecodable and not without_decoder:
        raise _Unusable(undecodable, is_object=True, series=_series_of(header))
    available = min(element.length, file.seek(0, io.SEEK_END) - element.start)
    check_pixel_data(header, counts, available, syntax, limits)
    if not undecodable and syntax and syntax.is_encapsulated and counts.frames > 1:
        file.seek(element.start)
        Fragments(file, available, counts.frames).check()
    return counts
