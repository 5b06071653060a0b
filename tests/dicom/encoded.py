"""Images encoded in every transfer syntax that is decoded, by encoders that the product does not use."""

from collections.abc import Callable
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from tests.dicom.objects import image

Array = NDArray[Any]

Encoder = Callable[[Array], bytes]


def _jpeg(pixels: Array, **options: Any) -> bytes:
    unsigned = pixels.view(pixels.dtype.str.replace("i", "u"))
    if pixels.ndim == 3:  # stored as they are: no transform of colours
        options |= {"colorspace": "RGB", "outcolorspace": "RGB"}
    return bytes(imagecodecs.jpeg8_encode(unsigned, **options))


def _jpeg_ls(pixels: Array, level: int) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels.view(pixels.dtype.str.replace("i", "u")), level=level))


def _jpeg_2000(pixels: Array, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", mct=False, **options))


def _high_throughput(pixels: Array, **options: Any) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, rgb=False, **options))


LOSSLESS: dict[UID, Encoder] = {
    uid.JPEGLossless: partial(_jpeg, lossless=True, predictor=4),
    uid.JPEGLosslessSV1: partial(_jpeg, lossless=True, predictor=1),
    uid.JPEGLSLossless: partial(_jpeg_ls, level=0),
    uid.JPEG2000Lossless: partial(_jpeg_2000, level=0, reversible=True),
    uid.HTJ2KLossless: partial(_high_throughput, reversible=True),
    uid.HTJ2KLosslessRPCL: partial(_high_throughput, reversible=True),
}

LOSSY: dict[UID, Encoder] = {
    uid.JPEGBaseline8Bit: partial(_jpeg, level=98),
    uid.JPEGExtended12Bit: partial(_jpeg, level=98, bitspersample=12),
    uid.JPEGLSNearLossless: partial(_jpeg_ls, level=2),
    uid.JPEG2000: partial(_jpeg_2000, level=60),
    uid.HTJ2K: partial(_high_throughput, level=0.0001),
}


def encoded(frames: Array, syntax: UID, **attributes: Any) -> Dataset:
    """An image of (frames, rows, columns[, samples]) in an encapsulated syntax, without table of offsets."""
    color = frames.ndim == 4
    colors = {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0} if color else {}
    dataset = image(frames[0], Modality="OT", **colors | attributes)
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
    encode = (LOSSLESS | LOSSY).get(syntax)
    if encode is None:
        dataset.PixelData = frames.tobytes()
        dataset.compress(syntax)
        return dataset
    dataset.PixelData = encapsulate([encode(frame) for frame in frames], has_bot=False)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def smooth(
    dtype: str, bits: int, *, samples: int = 1, frames: int = 1, rows: int = 24, columns: int = 33
) -> Array:
    """Frames with values over the whole range of so many bits, signed where the type is."""
    across = np.add.outer(np.arange(rows), np.arange(columns)) / (rows + columns - 2)
    low = -(2 ** (bits - 1)) if np.dtype(dtype).kind == "i" else 0
    found = np.stack([np.rint(low + across * (2**bits - 1) * (1 - 0.1 * at)) for at in range(frames)])
    if samples > 1:
        found = np.stack([found, low + 2**bits - 1 - (found - low), np.roll(found, 5, axis=2)], axis=-1)
    return found.astype(dtype)
