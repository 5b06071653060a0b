"""Samples of a colour image → RGB of 8 bits (PS3.3 C.7.6.3.1.2, C.7.6.3.1.5)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference_gateway.dicom import attributes
from inference_gateway.dicom.stored import PixelDataError, Stored
from inference_gateway.dicom.tables import Table, read_table
from inference_gateway.dicom.windows import Byte, to_bytes

_COLORS = ("Red", "Green", "Blue")

# From luma and the two chromas, both around 0, to red, green and blue (ITU-R BT.601): of the full range, and
# of the part from 16 to 235 (luma) and 240 (chroma).
_FULL = np.array([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]], np.float32)
_PARTIAL = _FULL * np.array([255 / 219, 255 / 224, 255 / 224], np.float32)

_AS_RGB = ("RGB", "YBR_ICT", "YBR_RCT", "MONOCHROME1", "MONOCHROME2", "")
_AS_YBR = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")


def is_palette(header: Dataset) -> bool:
    """Return whether the stored values are looked up in a palette of colours."""
    return attributes.text(header, "PhotometricInterpretation") == "PALETTE COLOR"


def rgb_of(stored: Stored) -> Byte:
    """Return what a colour image shows, uint8 of (rows, columns, 3).

    Raises `PixelDataError` where its palette is missing or damaged, or where its samples are of a kind that
    is not drawn.
    """
    if is_palette(stored.header):
        return _from_palette(stored)
    interpretation = stored.photometric_interpretation
    samples = stored.samples
    if samples.shape[2] != 3 or interpretation not in _AS_RGB + _AS_YBR:
        raise PixelDataError("its photometric interpretation is not drawn here")
    bits = attributes.integer(stored.header, "BitsStored") or samples.dtype.itemsize * 8
    if samples.dtype.kind == "f":
        raise PixelDataError("colours as floating point numbers are not drawn here")
    if interpretation in _AS_RGB:
        return eight_bits(samples, bits)
    return _from_luma(samples, bits, partial=interpretation.startswith("YBR_PARTIAL"))


def eight_bits(samples: NDArray[Any], bits: int) -> Byte:
    """Scale samples of `bits` bits so that their greatest value becomes 255."""
    if bits == 8:
        return samples.astype(np.uint8)
    return to_bytes(np.clip(samples.astype(np.float32) * np.float32(255.0 / (2.0**bits - 1.0)), 0.0, 255.0))


def _from_luma(samples: NDArray[Any], bits: int, *, partial: bool) -> Byte:
    scale = np.float32(255.0 / (2.0**bits - 1.0))
    values = samples.astype(np.float32) * scale
    none = np.array([16.0 if partial else 0.0, 128.0, 128.0], np.float32) * 2.0 ** (bits - 8)
    values -= none * scale
    return to_bytes(np.clip(values @ (_PARTIAL if partial else _FULL).T, 0.0, 255.0))


def _from_palette(stored: Stored) -> Byte:
    try:
        tables = [_palette(stored.header, color) for color in _COLORS]
    except ValueError as error:
        raise PixelDataError(f"its palette cannot be applied: {error}") from error
    channels = [eight_bits(table.look_up(stored.samples), table.bits) for table in tables]
    return np.stack(channels, axis=-1)


def _palette(header: Dataset, color: str) -> Table:
    signed = attributes.integer(header, "PixelRepresentation") == 1
    descriptor = f"{color}PaletteColorLookupTableDescriptor"
    little = header.original_encoding[1] is not False
    segmented = f"Segmented{color}PaletteColorLookupTableData"
    return read_table(
        header,
        descriptor,
        segmented if segmented in header else f"{color}PaletteColorLookupTableData",
        signed=signed,
        little=little,
        segmented=segmented in header,
    )
