"""How high the pixels of an image are by their width."""

from __future__ import annotations

from pydicom import Dataset

from inference_gateway.dicom import attributes
from inference_gateway.dicom.series import Frame

_MOST = 20.0  # a thick reformat has pixels of 10 by 1; more would make a picture that is all edge
# Where an image that does not lie in space says how far apart its rows and its columns are (PS3.3 10.7).
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


def aspect_of(frame: Frame, header: Dataset) -> float:
    """Return the height of a pixel by its width, 1 where nothing says it or what is said cannot be meant.

    By the spacing of rows and columns, else PixelAspectRatio (PS3.3 C.7.6.3.1.7), else the regions of an
    ultrasound image (C.8.5.5).
    """
    pairs = [frame.pixel_spacing, *(attributes.numbers(header, keyword, 2) for keyword in _SPACINGS)]
    pairs.append(attributes.numbers(header, "PixelAspectRatio", 2))
    pairs += [
        _spacing_of_region(region) for region in attributes.items(header, "SequenceOfUltrasoundRegions")[:1]
    ]
    for pair in pairs:
        if pair is not None and min(pair) > 0:
            return pair[0] / pair[1] if 1 / _MOST <= pair[0] / pair[1] <= _MOST else 1.0
    return 1.0


def _spacing_of_region(region: Dataset) -> tuple[float, float] | None:
    down, across = (attributes.number(region, f"PhysicalDelta{axis}") for axis in "YX")
    units = [attributes.integer(region, f"PhysicalUnits{axis}Direction") for axis in "YX"]
    return None if down is None or across is None or units != [3, 3] else (abs(down), abs(across))  # 3: cm
