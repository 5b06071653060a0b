"""Files in any order → series → stacks of frames in the order in which they lie in space.

A study is read from paths or binary files. What is not a DICOM image that can be decoded here is skipped,
with the reason. Only what places an image stays in memory: an instance reads its source again when its whole
header or its pixels are wanted. Costs one pass over the headers, and about half a kilobyte per image.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from inference_gateway.dicom import attributes, codecs
from inference_gateway.dicom.instances import Frame, Instance, Place, Vector, frames_of
from inference_gateway.dicom.places import KEYWORDS, Shared, places_of, same
from inference_gateway.dicom.sources import (
    PIXEL_ELEMENTS,
    BinaryFile,
    Source,
    opened,
    pixel_element,
    read_dataset,
)
from inference_gateway.dicom.stacks import Stack, stacks_of

__all__ = [
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

# What is read of a header: identity, how big the image is, and where it lies.
_WANTED = (
    *("SpecificCharacterSet", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("Modality", "InstanceNumber", "PhotometricInterpretation"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "TotalPixelMatrixColumns"),
    *KEYWORDS,
)

# Reasons for which images of a series are left out that its stacks tell one by one.
_MOST_REASONS = 3

# An encapsulated frame takes at least one item header (PS3.5 A.4).
_ITEM_HEADER_BYTES = 8


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
    """A source that is left out; the message is the reason.

    `series`: (study, series) UIDs of an image whose absence its series has to say.
    """

    def __init__(
        self, reason: str, *, is_object: bool = False, series: tuple[str, str] | None = None
    ) -> None:
        super().__init__(reason)
        self.is_object = is_object
        self.series = series


def read_study(sources: Iterable[Source], *, without_decoder: bool = False) -> Study:
    """Read DICOM images and sort them into series and stacks.

    `sources` are paths or binary files, which must stay readable as long as pixels are wanted. An image
    without SeriesInstanceUID is a series by itself; an image that came before (by SOPInstanceUID) is skipped.
    `without_decoder` keeps images that cannot be decoded here, for somebody else who can. Raises
    `OSError` where a path cannot be read.
    """
    groups: dict[tuple[str, str], list[Instance]] = {}
    left_out: dict[tuple[str, str], Counter[str]] = {}
    skipped: list[Skipped] = []
    seen: set[str] = set()
    shared: Shared = {}
    for index, source in enumerate(sources):
        try:
            instance = _instance(index, source, without_decoder, shared)
            if instance.sop_instance_uid in seen:
                raise _Unusable("an image with this SOP Instance UID came before")
        except _Unusable as reason:
            skipped.append(Skipped(index, str(reason), reason.is_object))
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


def _instance(index: int, source: Source, without_decoder: bool, shared: Shared) -> Instance:
    with opened(source) as file:
        try:
            header = read_dataset(file, header_only=True, tags=_WANTED)
            available = _pixel_bytes(file, header)
        except InvalidDicomError:
            raise _Unusable("not a DICOM file") from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise _Unusable("a damaged DICOM file") from None  # of pydicom's parser, not of the system
        except Exception:  # on damaged files pydicom's parser raises whatever it trips over
            raise _Unusable("a damaged DICOM file") from None
    rows, columns = attributes.integer(header, "Rows") or 0, attributes.integer(header, "Columns") or 0
    if available is None or rows <= 0 or columns <= 0:
        raise _Unusable("no pixels", is_object=True)
    frames = attributes.integer(header, "NumberOfFrames") or 1
    undecodable = codecs.undecodable(header.file_meta.get("TransferSyntaxUID"))
    if undecodable and not without_decoder:
        raise _Unusable(undecodable, is_object=True, series=_series_of(header))
    _check_pixel_data(header, available, rows * columns, frames)

    def text(keyword: str) -> str:
        return same(attributes.text(header, keyword), shared)

    return Instance(
        index,
        source,
        rows,
        columns,
        modality=text("Modality"),
        sop_instance_uid=attributes.text(header, "SOPInstanceUID"),
        study_instance_uid=text("StudyInstanceUID"),
        series_instance_uid=text("SeriesInstanceUID"),
        instance_number=attributes.integer(header, "InstanceNumber"),
        places=places_of(header, frames, shared),
        undecodable=undecodable,
        tiled="TotalPixelMatrixColumns" in header,
    )


def _series_of(header: Dataset) -> tuple[str, str]:
    return attributes.text(header, "StudyInstanceUID"), attributes.text(header, "SeriesInstanceUID")


def _pixel_bytes(file: BinaryFile, header: Dataset) -> int | None:
    """Return how many bytes of pixel data there are, None where there is no pixel data.

    `file` stands where the header ended. Pixel data of unknown length reaches to the end of the file at most.
    """
    syntax = _transfer_syntax(header)
    if syntax is not None and syntax.is_deflated:
        file.seek(0)
        dataset = read_dataset(file, header_only=False)
        keyword = next((one for one in PIXEL_ELEMENTS.values() if one in dataset), None)
        return None if keyword is None else len(dataset[keyword].value or b"")
    found = pixel_element(file, little=syntax is None or syntax.is_little_endian)
    return None if found is None else min(found.length, file.seek(0, io.SEEK_END) - found.start)


def _transfer_syntax(header: Dataset) -> UID | None:
    """Return the transfer syntax if it is one that pydicom knows, else None."""
    found: UID | None = header.file_meta.get("TransferSyntaxUID")
    return found if found and found.is_transfer_syntax else None


def _check_pixel_data(header: Dataset, available: int, pixels: int, frames: int) -> None:
    """Refuse a frame count that the pixel data cannot hold.

    `available` bytes of pixel data are there; `pixels` are those of one frame. Nothing is allocated for
    frames before this check has passed.
    """
    transfer_syntax = _transfer_syntax(header)
    if transfer_syntax is None or transfer_syntax.is_encapsulated:
        needed = frames * _ITEM_HEADER_BYTES
    else:
        subsampled = attributes.text(header, "PhotometricInterpretation") in codecs.SUBSAMPLED
        samples = 2 if subsampled else attributes.integer(header, "SamplesPerPixel") or 1
        bits = pixels * samples * (attributes.integer(header, "BitsAllocated") or 8)
        needed = (frames * bits + 7) // 8
    if frames < 1:
        raise _Unusable("its header says that it has less than one frame", series=_series_of(header))
    if available < needed:
        reason = f"less pixel data than its header says: {available:,} of {needed:,} bytes"
        raise _Unusable(reason, series=_series_of(header))
