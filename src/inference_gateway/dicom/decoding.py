"""The pixel data of one image → stored values, frame by frame, in any order.

Native frames are read where they lie. An encapsulated frame is found by one pass over the items, and is given
to a decoder only if its codestream is of the size that the image has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options, iter_pixels

from inference_gateway.dicom import attributes
from inference_gateway.dicom.codestream import CodestreamError, size_of
from inference_gateway.dicom.fragments import Fragments
from inference_gateway.dicom.sources import BinaryFile, pixel_bytes, read_dataset


def decoded(file: BinaryFile, header: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Yield frames, counted from 0: (rows, columns), or (rows, columns, samples), of the stored type.

    `file` stands at its start; `header` is the whole data set without pixel data. Raises what decoders
    raise.
    """
    if header.file_meta.TransferSyntaxUID.is_encapsulated:
        return _decompressed(file, header, indices)
    return iter_pixels(cast(Any, file), indices=indices)


def _decompressed(file: BinaryFile, header: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    syntax = header.file_meta.TransferSyntaxUID
    decoder = get_decoder(syntax)
    options = as_pixel_options(header)
    frames = int(options["number_of_frames"])
    options.pop("extended_offsets", None)
    options.update(number_of_frames=1, transfer_syntax_uid=syntax, pixel_keyword="PixelData")
    size = options["rows"], options["columns"]
    fragments = _fragments(file, header, frames)
    for index in indices:
        codestream = fragments.read(index)
        if size_of(codestream) not in (None, size):
            raise CodestreamError("a frame of another size than its image")
        stored, _ = decoder.as_array(encapsulate([codestream], has_bot=False), **options)
        yield stored


def _fragments(file: BinaryFile, header: Dataset, frames: int) -> Fragments:
    """Find the frames in a file at its start."""
    read_dataset(file, header_only=True, tags=["NumberOfFrames"])
    available = pixel_bytes(file, header.file_meta.TransferSyntaxUID) or 0
    offsets = attributes.element(header, "ExtendedOffsetTable")
    return Fragments(file, available, frames, b"" if offsets is None else bytes(offsets.value))
