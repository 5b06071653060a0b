"""What a finding lies on: a series, one plane of it, or one image; by what it is, not by its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from inference_gateway.results.faults import shape_text


class SeriesLike(Protocol):
    """A series of images that make a volume, as `inference_gateway.study` reads it.

    `shape`: (depth, rows, columns) of one timepoint. `sop_instance_uids`: of each plane, all planes of the
    first timepoint first; a multi-frame image repeats its own. It may also have `timepoints`, 1 without it,
    and `frame_numbers` from 1, one for each plane, which are 1 without it.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (depth, rows, columns) of one timepoint."""
        ...

    @property
    def series_instance_uid(self) -> str:
        """Return its SeriesInstanceUID."""
        ...

    @property
    def sop_instance_uids(self) -> Sequence[str]:
        """Return the SOPInstanceUID of each plane."""
        ...


class ImageLike(Protocol):
    """One image: a pydicom `Dataset` has these; `NumberOfFrames` too, where it has several."""

    SOPInstanceUID: Any
    Rows: Any
    Columns: Any


class PlaneLike(Protocol):
    """One frame of an image, as `inference_gateway.study` reads it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        ...

    @property
    def series_instance_uid(self) -> str:
        """Return its SeriesInstanceUID."""
        ...

    @property
    def reference(self) -> Mapping[str, Any]:
        """Return its SOPInstanceUID, and its `frame_number` where its image has several frames."""
        ...


def is_series(source: Any) -> bool:
    """Tell whether it is a series. Raises `TypeError` where it is no image either."""
    if hasattr(source, "series_instance_uid") and hasattr(source, "sop_instance_uids"):
        return True
    if _is_plane(source) or all(hasattr(source, name) for name in ("SOPInstanceUID", "Rows", "Columns")):
        return False
    raise TypeError(
        "a finding lies on a series or an image, as inference_gateway.study reads them, or on a pydicom "
        f"Dataset with SOPInstanceUID, Rows and Columns, not on a {type(source).__name__}"
    )


def _is_plane(source: Any) -> bool:
    return hasattr(source, "series_instance_uid") and hasattr(source, "reference")


def frames_of(image: Any) -> int:
    """Return the number of frames of an image, 1 where it says none, or no number."""
    try:
        return int(getattr(image, "NumberOfFrames", None) or 1)
    except (TypeError, ValueError):  # pydicom converts on access
        return 1


def series_uid_of(source: Any) -> str:
    """Return the SeriesInstanceUID of a series, or of the series of an image."""
    own = is_series(source) or _is_plane(source)
    return str(source.series_instance_uid if own else source.SeriesInstanceUID)


def reference_to(source: Any, plane: int = 0) -> dict[str, Any]:
    """Return what names one plane: SOPInstanceUID, and `frame_number` where the image has several frames.

    `plane`: of a series, over all timepoints, or a frame of an image; from 0. Raises `IndexError` beyond.
    """
    if is_series(source):
        uids = source.sop_instance_uids
        _check_plane(plane, len(uids))
        numbers = getattr(source, "frame_numbers", None)
        several = numbers is not None and uids.count(uids[plane]) > 1
        return _reference(str(uids[plane]), int(numbers[plane]) if numbers else 1, several)
    count = frames_of(source)
    _check_plane(plane, count)
    if _is_plane(source):
        return dict(source.reference)
    return _reference(str(source.SOPInstanceUID), plane + 1, count > 1)


def size_of(source: Any) -> tuple[int, int]:
    """Return rows and columns of a plane."""
    if is_series(source) or _is_plane(source):
        rows, columns = source.shape[-2:]
        return int(rows), int(columns)
    return int(source.Rows), int(source.Columns)


def planes_of(source: Any) -> tuple[int, int]:
    """Return timepoints and depth."""
    if is_series(source):
        return int(getattr(source, "timepoints", 1) or 1), int(source.shape[0])
    return 1, frames_of(source)


def described(source: Any, shape: Sequence[int], plane: int | None = None) -> dict[str, Any]:
    """Return `binary_data_shape` and what names the images, for an entry of `parts`.

    `shape`: of the array: (rows, columns) for one plane of a series or a frame of an image, counted by
    `plane` from 0; (depth, rows, columns) or (timepoints, depth, rows, columns) for a series. Raises
    `ValueError`, which says both shapes, where it does not fit, and `IndexError` where there is no such
    plane.
    """
    size = size_of(source)
    timepoints, depth = planes_of(source)
    if len(shape) == 2 and tuple(shape) == size and (plane is not None or timepoints * depth == 1):
        axes = dict(zip(("height", "width"), size, strict=True))
        return {"binary_data_shape": axes, "dicom_image": reference_to(source, plane or 0)}
    wanted = [(1, depth, *size), (timepoints, depth, *size)]
    given = (*(1,) * (4 - len(shape)), *shape) if 2 < len(shape) <= 4 else ()
    if plane is None and is_series(source) and given in wanted:
        names = ("timepoints", "depth", "height", "width")
        return {
            "binary_data_shape": dict(zip(names, given, strict=True)),
            "SeriesInstanceUID": series_uid_of(source),
        }
    raise ValueError(_unlike(source, shape, plane))


def _unlike(source: Any, shape: Sequence[int], plane: int | None) -> str:
    size: tuple[int, ...] = size_of(source)
    timepoints, depth = planes_of(source)
    name = "series" if is_series(source) else "image"
    if plane is not None:
        whole = f"a plane of the {name} is {shape_text(size)} (rows, columns)"
        return f"the array is {shape_text(shape)}, and {whole}"
    if len(shape) == 2 and tuple(shape) == size:
        return f"the array is one plane, and the {name} has {timepoints * depth}: say which by plane=, from 0"
    axes, true = "rows, columns", size
    if depth > 1 or is_series(source):
        axes, true = f"{'depth' if is_series(source) else 'frames'}, {axes}", (depth, *true)
    if timepoints > 1:
        axes, true = f"timepoints, {axes}", (timepoints, *true)
    said = f"the array is {shape_text(shape)}, and the {name} is {shape_text(true)} ({axes})"
    if sorted(shape) == sorted(true):
        said += ": turn its axes by np.moveaxis"
    elif len(shape) == len(true) + 1 and shape[-1] in (3, 4):
        said += ": a mask has no colours"
    return said


def _reference(uid: str, number: int, several: bool) -> dict[str, Any]:
    return {"SOPInstanceUID": uid, "frame_number": number} if several else {"SOPInstanceUID": uid}


def _check_plane(plane: int, count: int) -> None:
    if not 0 <= plane < count:
        raise IndexError(f"there is no plane {plane}: planes are counted from 0 to {count - 1}")
