"""Transfer syntaxes → what decodes them here, or the sentence that says what is missing.

The decoders of the extra `codecs` (imagecodecs: libjpeg-turbo, CharLS, OpenJPEG) are made known to pydicom
when this module is imported, so that `Dataset.pixel_array` reads with them too. They come first: they decode
without Python's lock. RLE is left to pydicom itself: the decoder of imagecodecs reads beyond damaged frames.
Without the extra Pillow reads JPEG of 8 bits and JPEG 2000.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.config import IGNORE
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import UID

_INSTALL = "pip install 'dicom-inference-gateway[codecs]'"

_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
_JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
_JPEG_2000 = (
    *(uid.JPEG2000Lossless, uid.JPEG2000),
    *(uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K),
)

# What pydicom asks of a plugin: which packages it needs for which syntax.
DECODER_DEPENDENCIES = dict.fromkeys((*_JPEG, *_JPEG_LS, *_JPEG_2000), ("imagecodecs",))

OTHER_SIZE = "a frame is not of the size that its header says"
"""The reason for which a frame is not decoded."""

_LABEL = "inference-gateway"

_END_OF_IMAGE = b"\xff\xd9"  # ISO 14495-1 C.1

_lock = threading.Lock()


def undecodable(syntax: Any) -> str:
    """Return why pixels of a transfer syntax cannot be decoded here, and what helps; "" where they can be.

    `syntax` is the value of TransferSyntaxUID, or None. A UID that is not in PS3.6 is not repeated.
    """
    if not syntax:
        return "it names no transfer syntax"
    known = UID(str(syntax), validation_mode=IGNORE)
    if not known.is_transfer_syntax or known.is_private:
        return "its transfer syntax is not one of the standard"
    try:
        decoder = get_decoder(known)
    except NotImplementedError:
        return f"{known.name} is not decoded here"
    return "" if decoder.is_available else missing(known)


def missing(syntax: UID) -> str:
    """Return the sentence for a syntax whose decoder is not installed."""
    return f"no decoder for {syntax.name}: {_INSTALL}"


def runs_beside_python(syntax: UID) -> bool:
    """Return whether frames of a transfer syntax are decoded without Python's lock: threads help there."""
    return syntax in DECODER_DEPENDENCIES and is_available(syntax)


@cache
def is_available(syntax: str) -> bool:
    """Return whether the decoders of the extra are there: asked by pydicom for each of its decoders."""
    return find_spec("imagecodecs") is not None


def ended(source: bytes, syntax: str) -> bytes:
    """Return a frame that a marker ends, whatever decodes it.

    CharLS takes seconds to find the end of a near-lossless scan that is cut.
    """
    return source + _END_OF_IMAGE if syntax in _JPEG_LS else source


def decode_frame(source: bytes, runner: DecodeRunner) -> bytearray:
    """Return the pixels of one encoded frame as pydicom wants them: samples by pixel, in the native order.

    Raises what the decoders raise where the frame is damaged, and `ValueError` where it is not of the size
    that the header says.
    """
    syntax = runner.transfer_syntax
    if syntax in _JPEG:
        # Samples are taken as they are stored: what colour they are is said by the header, not by a guess.
        plain = {"colorspace": "YCBCR", "outcolorspace": "YCBCR"} if runner.samples_per_pixel == 3 else {}
        pixels = _decoder("jpeg8_decode")(source, **plain)
    elif syntax in _JPEG_LS:
        pixels = _decoder("jpegls_decode")(ended(source, syntax))
    else:
        pixels = _decoder("jpeg2k_decode")(source)
        if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):  # the codestream's own transform
            runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)
    return _checked(pixels, runner)


def _decoder(name: str) -> Callable[..., NDArray[Any]]:
    """Return a decoder of imagecodecs, which is imported when the first frame needs it."""
    found: Callable[..., NDArray[Any]] = getattr(import_module("imagecodecs"), name)
    return found


def _checked(pixels: NDArray[Any], runner: DecodeRunner) -> bytearray:
    """Return decoded pixels as bytes; raise `ValueError` where they have not the shape of the header."""
    rows, columns, samples = runner.rows, runner.columns, runner.samples_per_pixel
    expected = (rows, columns) if samples == 1 else (rows, columns, samples)
    if pixels.shape != expected and pixels.shape == (samples, rows, columns):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.shape != expected:
        raise ValueError(OTHER_SIZE)
    runner.set_option("bits_allocated", pixels.dtype.itemsize * 8)
    runner.set_option("planar_configuration", 0)
    return bytearray(np.ascontiguousarray(pixels).tobytes())


def _make_known() -> None:
    """Put the decoders of the extra before the others of pydicom, once."""
    with _lock:
        for syntax in DECODER_DEPENDENCIES:
            decoder = get_decoder(syntax)
            if is_available(syntax) and _LABEL not in decoder.available_plugins:
                others = dict(decoder._available)
                decoder.add_plugin(_LABEL, (__name__, decode_frame.__name__))
                for label in others:  # pydicom tries them in this order
                    decoder._available[label] = decoder._available.pop(label)


_make_known()
