"""PNG and JPEG files → arrays, once their size is known to be bearable."""

from __future__ import annotations

import warnings
from pathlib import Path
from struct import unpack
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from inference_gateway.dicom.codestream import size_of
from inference_gateway.dicom.limits import LimitError, Limits

MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Pixels that no picture may have, whatever the limit: Pillow refuses more."""

_PNG = b"\x89PNG\r\n\x1a\n"


class PictureError(ValueError):
    """A picture that cannot be read."""


def read_picture(path: Path, limits: Limits) -> NDArray[Any]:
    """Return a PNG or JPEG file as uint8 of (rows, columns, 3), or of (rows, columns) where it has no colour.

    Grey of 16 bits is uint16. Turned as its EXIF says; transparency is left out. Raises `LimitError` where it
    has more pixels than a frame may have, before any is decoded, and `PictureError`.
    """
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # Pillow's limit is not ours
            limits.check_frame(*_size_of(file))
            with Image.open(file, formats=("PNG", "JPEG")) as opened:
                return _pixels(opened)
    except LimitError:
        raise
    except Exception as error:  # Pillow's readers raise whatever they trip over
        raise PictureError("a picture that cannot be read") from error


def _size_of(file: BinaryIO) -> tuple[int, int]:
    """Return (rows, columns) of a picture in a file, and leave it at its start."""
    head = file.read(24)
    if head.startswith(_PNG):
        columns, rows = unpack(">2L", head[16:])  # IHDR comes first (ISO 15948 11.2.2)
        size = rows, columns
    else:
        size = (size_of(head + file.read()) or (0, 0, 0))[:2]
    file.seek(0)
    return size


def _pixels(opened: Image.Image) -> NDArray[Any]:
    ImageOps.exif_transpose(opened, in_place=True)
    if opened.mode.startswith("I"):
        deep: NDArray[Any] = np.clip(np.asarray(opened), 0, 65535).astype(np.uint16)
        return deep
    if opened.mode in ("1", "L", "LA"):
        grey: NDArray[Any] = np.array(opened.convert("L"))
        return grey
    colored: NDArray[Any] = np.array(opened.convert("RGB"))
    first = colored[..., 0]
    is_grey = np.array_equal(colored[..., 1], first) and np.array_equal(colored[..., 2], first)
    return np.ascontiguousarray(first) if is_grey else colored
