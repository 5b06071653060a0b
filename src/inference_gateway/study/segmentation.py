"""A mask → a DICOM Segmentation (PS3.3 A.51) of the images that it lies over. Needs the extra `highdicom`.

The images are taken in the order of the volume's planes, whatever the order in which they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import generate_uid

from inference_gateway.dicom import attributes
from inference_gateway.extras import extra
from inference_gateway.study.errors import StudyError
from inference_gateway.study.identity import Algorithm, Segment
from inference_gateway.study.patient import belong
from inference_gateway.study.sources import headers_of, needed
from inference_gateway.study.volume import Volume

with extra("highdicom", needs=__name__):
    import highdicom


def make_segmentation(
    volume: Volume,
    mask: NDArray[Any],
    segments: Segment | Sequence[Segment],
    *,
    algorithm: Algorithm,
    series_number: int = 1000,
    description: str = "Segmentation",
) -> Dataset:
    """Return a mask of a volume as a DICOM object.

    `mask` is of (depth, rows, columns): booleans of one segment, whole numbers, 1 for the first segment, or
    floats of 0.0 to 1.0, which become a fractional segmentation; or of (segments, depth, rows, columns),
    booleans or floats. Raises `ValueError` where it is something else, `StudyError` where the images cannot
    be referred to.
    """
    described = [segments] if isinstance(segments, Segment) else list(segments)
    pixels = _pixels(mask, volume.shape, len(described))
    together = len(described) > 1 or _lie_together(pixels)
    headers = headers_of(volume.frames)
    for header in headers:
        _give_thickness(header, volume)
    if len(headers) == 1:
        pixels = _by_frame_number(pixels, volume, headers[0])
    elif len(headers) < len(volume.frames):
        raise StudyError("the planes are frames of several multi-frame images, and a segmentation is of one")
    identified = highdicom.AlgorithmIdentificationSequence(
        algorithm.name, algorithm.family, algorithm.version
    )
    with needed("a segmentation"):
        made: Dataset = highdicom.seg.Segmentation(
            headers,
            pixels,
            "FRACTIONAL" if pixels.dtype.kind == "f" else "BINARY",
            [
                highdicom.seg.SegmentDescription(
                    segment_number=number,
                    segment_label=segment.label,
                    segmented_property_category=segment.category,
                    segmented_property_type=segment.type,
                    algorithm_type="AUTOMATIC",
                    algorithm_identification=identified,
                    tracking_uid=segment.tracking_uid,
                    tracking_id=segment.label,
                )
                for number, segment in enumerate(described, start=1)
            ],
            series_instance_uid=generate_uid(prefix=None),
            series_number=series_number,
            sop_instance_uid=generate_uid(prefix=None),
            instance_number=1,
            manufacturer=algorithm.manufacturer,
            manufacturer_model_name=algorithm.name,
            software_versions=algorithm.version,
            device_serial_number=algorithm.serial,
            omit_empty_frames=together,
            content_label="SEGMENTATION",
            series_description=description,
        )
    if volume.frames[0].orientation is None:
        made.PatientOrientation = headers[0].get("PatientOrientation")
    belong(made, volume.frames[0].instance.read_header())
    return made


def _pixels(mask: NDArray[Any], shape: tuple[int, int, int], segments: int) -> NDArray[Any]:
    """Return a mask as highdicom takes it: (planes, rows, columns), or these and segments."""
    if mask.shape not in (shape, (segments, *shape)):
        raise ValueError(f"a mask of shape {mask.shape} over a volume of shape {shape}, {segments} segments")
    if mask.dtype.kind not in "bfiu":
        raise ValueError(f"a mask is of booleans, whole numbers or floats, not of {mask.dtype}")
    if mask.ndim == 4 or (mask.dtype.kind in "bf" and segments == 1):
        if mask.dtype.kind == "f" and not (mask.min(initial=0) >= 0 and mask.max(initial=0) <= 1):
            raise ValueError("a float of a mask is from 0.0 to 1.0")
        if mask.dtype.kind in "iu" and not (mask.min(initial=0) >= 0 and mask.max(initial=0) <= 1):
            raise ValueError("a mask of each segment is of booleans, or of 0 and 1")
        parts = np.moveaxis(mask, 0, -1) if mask.ndim == 4 else mask[..., None]
        return parts.astype(np.float32 if mask.dtype.kind == "f" else np.uint8)
    if mask.dtype.kind in "bf":
        raise ValueError(
            f"a mask of {segments} segments is of (segments, depth, rows, columns), or of numbers"
        )
    least, most = int(mask.min(initial=0)), int(mask.max(initial=0))
    if least < 0 or most > segments:
        raise ValueError(f"a mask with numbers from {least} to {most}, and there are {segments} segments")
    return mask.astype(np.uint8 if segments < 256 else np.uint16)


def _lie_together(pixels: NDArray[Any]) -> bool:
    """Tell whether the planes that have something of a mask are neighbours.

    Readers that take frames for neighbours, such as ITK's, close gaps where empty planes are left out.
    """
    planes = np.flatnonzero(pixels.reshape(len(pixels), -1).any(axis=1))
    return len(planes) == 0 or int(planes[-1] - planes[0]) < len(planes)


def _give_thickness(header: Dataset, volume: Volume) -> None:
    """Have a header say the step between planes where it says no SliceThickness, which is of type 2."""
    if "SharedFunctionalGroupsSequence" in header or attributes.number(header, "SliceThickness") is not None:
        return
    header.pop("SliceThickness", None)
    if volume.spacing is not None:
        header.SliceThickness = f"{volume.spacing[0]:.10g}"


def _by_frame_number(pixels: NDArray[Any], volume: Volume, header: Dataset) -> NDArray[Any]:
    """Return planes in the order of the frames of their one image; frames in no plane are empty."""
    count = attributes.integer(header, "NumberOfFrames") or 1
    if count > 1 and not attributes.items(header, "PerFrameFunctionalGroupsSequence"):
        raise StudyError(
            "a multi-frame image without functional groups, of which no segmentation can be made"
        )
    ordered = np.zeros((count, *pixels.shape[1:]), pixels.dtype)
    for plane, frame in enumerate(volume.frames):
        ordered[frame.number - 1] = pixels[plane]
    return ordered
