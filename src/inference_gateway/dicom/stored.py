"""Pixel data → the stored values of one frame at a time.

Native frames are read from where they lie in the source, and the bits that are no part of a value are left
out. Encapsulated ones are read one after the other and decoded by pydicom with the decoders that `codecs`
knows, a frame on each core where the decoder gives Python's lock up. So many frames are in memory, and one.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from inference_gateway.dicom import attributes, codecs
from inference_gateway.dicom.codestream import size_of
from inference_gateway.dicom.fragments import Fragments
from inference_gateway.dicom.instances import Frame, Instance
from inference_gateway.dicom.limits import SUBSAMPLED
from inference_gateway.dicom.sources import (
    UNDEFINED,
    BinaryFile,
    opened,
    pixel_element,
    read_dataset,
)

Array = NDArray[Any]

# What a decoder of pydicom wants to be told, and where it stands.
_OPTIONS = {
    "rows": "Rows",
    "columns": "Columns",
    "samples_per_pixel": "SamplesPerPixel",
    "planar_configuration": "PlanarConfiguration",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "pixel_representation": "PixelRepresentation",
}

# The type of a sample in the elements of the group 7FE0 that have floating point numbers.
_FLOATS = {0x0008: "f4", 0x0009: "f8"}


_UNDECODABLE = "its pixels cannot be decoded here"


class PixelDataError(ValueError):
    """The pixel data of an image cannot be decoded; the message says why, and quotes nothing of it."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The samples of one frame as they are stored: (rows, columns), or (rows, columns, samples).

    `photometric_interpretation` is theirs, after what the decoder has done.
    """

    frame: Frame
    header: Dataset
    samples: Array
    photometric_interpretation: str


Outcome = Stored | PixelDataError

T = TypeVar("T")

# Native images of fewer pixels take less time than their headers: threads that wait for Python's lock
# meanwhile cost a fifth more than they save.
_MANY_PIXELS = 1 << 22

Job = Callable[[], Outcome]


def stored_frames(frames: Iterable[Frame]) -> Iterator[Outcome]:
    """Yield the samples of each frame in the order given, or the error that came up instead.

    Each image is opened once for the frames of it that follow each other.
    """
    return _in_order((job, beside) for job, beside in _jobs(frames))


def finished_frames(frames: Iterable[Frame], finish: Callable[[int, Outcome], T]) -> Iterator[T]:
    """Yield what `finish` makes of each frame's place among those given and its samples, in that order.

    It is called on the thread that decodes, one of as many as there are cores. Native frames have threads too
    where their image is large: NumPy gives Python's lock up.
    """

    listed = list(frames)

    def finished(at: int, job: Job) -> Callable[[], T]:
        return lambda: finish(at, job())

    return _in_order(
        (finished(at, job), beside or _has_many_pixels(frame.instance))
        for at, (frame, (job, beside)) in enumerate(zip(listed, _jobs(listed), strict=True))
    )


def _has_many_pixels(instance: Instance) -> bool:
    return instance.rows * instance.columns * instance.number_of_frames >= _MANY_PIXELS


def _in_order(jobs: Iterable[tuple[Callable[[], T], bool]]) -> Iterator[T]:
    """Yield what the jobs return, in their order; those that run beside Python are done on threads."""
    threads = cores()
    with ExitStack() as stack:
        pool: ThreadPoolExecutor | None = None
        ahead: deque[Future[T]] = deque()
        for job, beside in jobs:
            if beside and threads > 1:
                if pool is None:
                    pool = stack.enter_context(ThreadPoolExecutor(threads, "decode"))
                    stack.callback(lambda: [future.cancel() for future in ahead])  # before it is waited for
                ahead.append(pool.submit(job))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
                continue
            while ahead:
                yield ahead.popleft().result()
            yield job()
        while ahead:
            yield ahead.popleft().result()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _jobs(frames: Iterable[Frame]) -> Iterator[tuple[Job, bool]]:
    """Yield for each frame what decodes it, and whether that runs beside Python: the source is read here."""
    for instance, group in groupby(frames, key=lambda frame: frame.instance):
        of_instance = list(group)
        given = 0
        try:
            if instance.undecodable:
                raise PixelDataError(instance.undecodable)
            with opened(instance.source, instance.limits) as file:
                pixel_data = _PixelData(file)
                for frame in of_instance:
                    yield pixel_data.job(frame), pixel_data.runs_beside
                    given += 1
        except PixelDataError as error:
            yield from [(_failed(error), False)] * (len(of_instance) - given)
        except Exception as error:  # pydicom's parser raises whatever it trips over
            failed = PixelDataError(_UNDECODABLE)
            failed.__cause__ = error
            yield from [(_failed(failed), False)] * (len(of_instance) - given)


def _failed(error: PixelDataError) -> Job:
    return lambda: error


class _PixelData:
    """The pixel data of one image in an open file, of which frames are read."""

    def __init__(self, file: BinaryFile) -> None:
        self._file = file
        self.header = read_dataset(file, header_only=True)
        self._syntax = UID(str(self.header.file_meta.TransferSyntaxUID))
        self.runs_beside = codecs.runs_beside_python(self._syntax)
        self._frames = attributes.integer(self.header, "NumberOfFrames") or 1
        found = pixel_element(file, little=self._syntax.is_little_endian)
        if found is None:
            raise PixelDataError("its pixel data has gone")
        self._element, self._vr, self._start, self._length = found
        self._fragments = self._found_fragments() if self._syntax.is_encapsulated else None

    def job(self, frame: Frame) -> Job:
        """Read what is stored of a frame, and return what decodes it."""
        if self._fragments is not None:
            encoded = self._fragments.read(frame.number - 1)
            return lambda: _guarded(lambda: _decoded(self.header, self._syntax, encoded, frame), self._syntax)
        native = _Native(self.header, self._element, self._vr, little=self._syntax.is_little_endian)
        first, last = native.span(frame.number - 1)
        raw = self._read(first, last - first)
        return lambda: _guarded(lambda: native.decoded(raw, frame), self._syntax)

    def _read(self, offset: int, size: int) -> bytes:
        """Return bytes of the value, fewer where it ends: sources are moved by nobody else in between."""
        if self._length != UNDEFINED:
            size = min(size, self._length - offset)
        self._file.seek(self._start + offset)
        return self._file.read(max(0, size))

    def _found_fragments(self) -> Fragments:
        available = min(self._length, self._file.seek(0, io.SEEK_END) - self._start)
        self._file.seek(self._start)
        offsets = attributes.element(self.header, "ExtendedOffsetTable")
        table = b"" if offsets is None else bytes(offsets.value)
        return Fragments(self._file, available, self._frames, table)


def _guarded(job: Job, syntax: UID) -> Outcome:
    try:
        return job()
    except PixelDataError as error:
        return error
    except Exception as error:  # decoders raise whatever they trip over
        failed = PixelDataError(f"{_UNDECODABLE}: {syntax.name}")
        failed.__cause__ = error
        return failed


def _decoded(header: Dataset, syntax: UID, encoded: bytes, frame: Frame) -> Stored:
    options = {name: attributes.integer(header, keyword) for name, keyword in _OPTIONS.items()}
    size = (options["rows"] or 0, options["columns"] or 0, options["samples_per_pixel"] or 1)
    if syntax in codecs.DECODER_DEPENDENCIES:  # before room is made for it
        said = size_of(encoded)
        if said is None:
            raise ValueError("a frame that says no size")
        if said != size:
            raise PixelDataError(codecs.OTHER_SIZE)
        encoded = codecs.ended(encoded, syntax)
    told: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    told["photometric_interpretation"] = attributes.text(header, "PhotometricInterpretation") or "MONOCHROME2"
    told |= {"number_of_frames": 1, "pixel_keyword": "PixelData", "correct_unused_bits": False}
    try:
        samples, described = get_decoder(syntax).as_array(encapsulate([encoded]), index=0, raw=True, **told)
    except Exception as error:
        if syntax in codecs.DECODER_DEPENDENCIES and not codecs.is_available(syntax):
            raise PixelDataError(codecs.missing(syntax)) from error  # Pillow reads less than all of a syntax
        raise
    whole = samples.dtype.itemsize * 8 == options["bits_allocated"]
    samples = _unpadded(samples, header) if whole else samples
    return Stored(frame, header, samples, str(described["photometric_interpretation"]))


def _unpadded(values: Array, header: Dataset) -> Array:
    """Return whole numbers without the bits around them: those stored end at HighBit (PS3.5 8.1.1).

    Done in place where the array may be written.
    """
    allocated = values.dtype.itemsize * 8
    stored = attributes.integer(header, "BitsStored") or allocated
    high = attributes.integer(header, "HighBit")
    if not 0 < stored < allocated:
        return values
    if high is None or not stored - 1 <= high < allocated:
        high = stored - 1
    place = values if values.flags.writeable else None
    shifted = np.left_shift(values, allocated - 1 - high, out=place)
    return np.right_shift(shifted, allocated - stored, out=place)


class _Native:
    """How the samples of a native image lie in its pixel data."""

    def __init__(self, header: Dataset, element: int, vr: str, *, little: bool) -> None:
        self._header = header
        self._float = _FLOATS.get(element)
        self._order = "<" if little else ">"
        self._rows = attributes.integer(header, "Rows") or 0
        self._columns = attributes.integer(header, "Columns") or 0
        self._samples = attributes.integer(header, "SamplesPerPixel") or 1
        self._interpretation = attributes.text(header, "PhotometricInterpretation")
        self._subsampled = self._samples == 3 and self._interpretation in SUBSAMPLED
        self._bits = attributes.integer(header, "BitsAllocated") or 8
        if self._float is not None:
            self._bits = np.dtype(self._float).itemsize * 8
        elif self._bits not in (1, 8, 16, 32, 64):
            raise PixelDataError(f"{self._bits} bits allocated for a sample are not read here")
        if self._subsampled and self._columns % 2:
            raise PixelDataError("an odd number of columns cannot be subsampled")
        # Words of big-endian data hold their first byte last (PS3.5 8.2).
        self._swapped = not little and vr == "OW" and self._bits <= 8

    @property
    def _count(self) -> int:
        return self._rows * self._columns * (2 if self._subsampled else self._samples)

    def span(self, index: int) -> tuple[int, int]:
        """Return the bytes, first and last + 1, in which a frame lies: whole words."""
        first, last = index * self._count * self._bits, (index + 1) * self._count * self._bits
        return first // 16 * 2, (last + 15) // 16 * 2

    def decoded(self, raw: bytes, frame: Frame) -> Stored:
        """Return the samples of a frame out of the bytes of its span."""
        skipped = (frame.number - 1) * self._count * self._bits - self.span(frame.number - 1)[0] * 8
        data = np.frombuffer(raw, np.uint8)
        if self._swapped:
            data = data[: len(data) // 2 * 2].reshape(-1, 2)[:, ::-1].ravel()
        if len(data) * 8 - skipped < self._count * self._bits:
            raise PixelDataError("less pixel data than its header says")
        if self._bits == 1:
            values: Array = np.unpackbits(data, bitorder="little")[skipped : skipped + self._count]
        else:
            stored = np.frombuffer(data, self._dtype(), self._count, skipped // 8)
            values = stored.astype(self._dtype().newbyteorder("="))
            values = values if self._float is not None else _unpadded(values, self._header)
        return Stored(frame, self._header, self._shaped(values), self._interpretation)

    def _dtype(self) -> np.dtype[Any]:
        if self._float is not None:
            return np.dtype(f"{self._order}{self._float}")
        kind = "i" if attributes.integer(self._header, "PixelRepresentation") == 1 else "u"
        return np.dtype(f"{self._order}{kind}{self._bits // 8}")

    def _shaped(self, values: Array) -> Array:
        if self._samples == 1:
            return values.reshape(self._rows, self._columns)
        if self._subsampled:
            pairs = values.reshape(self._rows, self._columns // 2, 4)
            colors = np.repeat(pairs[..., None, 2:], 2, axis=2)
            return np.concatenate([pairs[..., :2, None], colors], axis=3).reshape(
                self._rows, self._columns, 3
            )
        if attributes.integer(self._header, "PlanarConfiguration") == 1:
            return np.moveaxis(values.reshape(self._samples, self._rows, self._columns), 0, -1)
        return values.reshape(self._rows, self._columns, self._samples)
