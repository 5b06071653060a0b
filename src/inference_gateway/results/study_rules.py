"""An answer held against the study that it is about: UIDs, sizes of images, places.

Only what is wrong for certain is a fault. Nothing is said where a part of the request is neither DICOM that
can be read here nor a picture or a text: a model may find images in there. Headers are read one by one until
all that an answer names is found, so that a right answer costs few of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, permutations
from operator import mul
from typing import Any, NamedTuple

from inference_gateway.payload.contract import MASK_TYPES
from inference_gateway.results.faults import Fault, shape_text
from inference_gateway.results.fields import Shape
from inference_gateway.results.headers import Head, Header, read_header

# How parts begin in which no DICOM image hides: PNG, JPEG, PDF, JSON.
_HARMLESS = (b"\x89PNG", b"\xff\xd8\xff", b"%PDF", b"{", b"[")
_NO_SERIES = "SeriesInstanceUID of a series of the request"
_NO_IMAGE = "SOPInstanceUID of an image of the request"
_FEW = 2  # rows or columns of an image on which nothing is in parts of it
_NEAR = 0.1  # of an image's side: so far beyond its edge what lies on it may reach

Json = Mapping[str, Any]


class Study:
    """The images of a request, read when they are asked for. `heads`: one for each input."""

    def __init__(self, heads: Sequence[Head]) -> None:
        self._heads = heads
        self._read = 0
        self._images: dict[str, Header] = {}
        self._series: dict[str, list[Header]] = {}
        self.is_known = bool(heads)

    def image(self, uid: str) -> Header | None:
        """Return the image of this SOPInstanceUID, None where there is none, or nobody can tell."""
        while uid not in self._images and self._next():
            pass
        return self._images.get(uid)

    def has_series(self, uid: str) -> bool:
        """Tell whether an image belongs to the series."""
        while uid not in self._series and self._next():
            pass
        return uid in self._series

    def shows(self, uid: str, rows: int, columns: int) -> bool:
        """Tell whether the series has an image of that size; reads on until there is one."""
        seen = 0
        while True:
            images = self._series.get(uid, ())
            if any((image.rows, image.columns) == (rows, columns) for image in images[seen:]):
                return True
            seen = len(images)
            if not self._next():
                return False

    def images(self, uid: str) -> list[Header]:
        """Return all images of a series."""
        while self._next():
            pass
        return self._series.get(uid, [])

    @property
    def count(self) -> int:
        """Return how many inputs there are."""
        return len(self._heads)

    def _next(self) -> bool:
        """Read one more header; return whether there was one."""
        if self._read >= len(self._heads) or not self.is_known:
            return False
        head = self._heads[self._read]
        self._read += 1
        header = read_header(head)
        if header is not None and any(header[:4]):
            self._images.setdefault(header.image, header)
            self._series.setdefault(header.series, []).append(header)
        elif not head(4).startswith(_HARMLESS):
            self.is_known = False
        return True


class Named(NamedTuple):
    """A UID that an answer has at `path`; `frame` 0: of a series."""

    path: str
    uid: str
    frame: int


def faults_of(document: Json, study: Study) -> Iterator[Fault]:
    """Yield what of an answer's JSON does not fit the study that it is about."""
    if not study.is_known:
        return
    for named in names_in(document):
        fault = _missing(named, study)
        if fault is not None and study.is_known:
            yield fault
    for index, part in enumerate(_objects(document.get("parts"))):
        if part.get("binary_type") in MASK_TYPES:
            fault = _misplaced(f"parts[{index}]", part, study)
            if fault is not None and study.is_known:
                yield fault
    for index, box in enumerate(_objects(document.get("bounding_boxes_2d"))):
        fault = _outside(f"bounding_boxes_2d[{index}]", box, ("top_left", "bottom_right"), study)
        if fault is not None and study.is_known:
            yield fault
    for index, line in enumerate(_objects(document.get("linear_measurements_2d"))):
        fault = _outside(f"linear_measurements_2d[{index}]", line, ("start", "end"), study)
        if fault is not None and study.is_known:
            yield fault


def names_in(document: Json) -> Iterator[Named]:
    """Yield each image and series that an answer names."""
    for index, part in enumerate(_objects(document.get("parts"))):
        if part.get("binary_type") not in MASK_TYPES:
            continue  # a DICOM object may be named by its own UIDs
        path = f"parts[{index}]"
        uid = part.get("SeriesInstanceUID")
        if isinstance(uid, str):
            yield Named(f"{path}.SeriesInstanceUID", uid, 0)
        if isinstance(part.get("dicom_image"), dict):
            yield from _image_in(f"{path}.dicom_image", part["dicom_image"])
        else:
            yield from _image_in(path, part)
    for key in ("bounding_boxes_2d", "linear_measurements_2d"):
        for index, each in enumerate(_objects(document.get(key))):
            yield from _image_in(f"{key}[{index}]", each)
    series = document.get("series_ml_json")
    if isinstance(series, dict):
        yield from (Named("series_ml_json.*", uid, 0) for uid in series)


def _image_in(path: str, holder: Json) -> Iterator[Named]:
    uid, frame = holder.get("SOPInstanceUID"), holder.get("frame_number", 1)
    if isinstance(uid, str):
        yield Named(f"{path}.SOPInstanceUID", uid, max(1, frame) if isinstance(frame, int) else 1)


def _missing(named: Named, study: Study) -> Fault | None:
    path, uid, frame = named
    if not frame:
        if study.has_series(uid):
            return None
        came = (
            "the SOPInstanceUID of an image came" if study.image(uid) else "no series of the request has it"
        )
        return Fault("references", path, came, f"the {_NO_SERIES}")
    image = study.image(uid)
    if image is None:
        came = "the UID of a series came" if study.has_series(uid) else "no image of the request has it"
        return Fault("references", path, came, f"the {_NO_IMAGE}")
    if frame > image.frames:
        there = f"a number from 1 to {image.frames}, the frames of that image"
        place = path.removesuffix("SOPInstanceUID") + "frame_number"
        return Fault("references", place, f"a number came that is more than {image.frames}", there)
    return None


def _misplaced(path: str, part: Json, study: Study) -> Fault | None:
    """Return why a mask does not lie over what it names: other sizes, swapped axes, too many planes."""
    shape = axes_of(part)
    if shape is None:
        return None
    uid, image = part.get("SeriesInstanceUID"), _image_of(part, study)
    path += ".binary_data_shape"
    if image is not None and image.rows and (len(shape) == 2 or not isinstance(uid, str)):
        true = (image.rows, image.columns)
        return None if shape[-2:] == true else _unlike(path, shape[-2:], true, "its image")
    if image is not None or not isinstance(uid, str) or not study.has_series(uid):
        return None
    timepoints, depth, rows, columns = (1,) * (4 - len(shape)) + shape
    if not study.shows(uid, rows, columns):
        sizes = {(one.rows, one.columns) for one in study.images(uid) if one.rows}
        if len(sizes) != 1:
            return None if not sizes else _unlike(path, shape, None, "the images of its series")
        count = sum(one.frames for one in study.images(uid) if one.rows)
        size = sizes.pop()
        volume = (max(1, count // timepoints), *size)
        return _unlike(path, shape, volume if len(shape) > 2 else size, "its series")
    if timepoints * depth == study.count:
        return None
    return _unlike_depth(path, shape, [one for one in study.images(uid) if one.rows])


def _unlike_depth(path: str, shape: tuple[int, ...], images: Sequence[Header]) -> Fault | None:
    """Return a fault where a mask has another number of planes than its series, and than each stack of it."""
    timepoints, depth, rows, columns = (1,) * (4 - len(shape)) + shape
    stacks: dict[tuple[str, ...], list[Header]] = {}
    for image in images:
        if (image.rows, image.columns) == (rows, columns):
            stacks.setdefault((image.study, image.orientation, image.spacing), []).append(image)
    frames = sum(image.frames for stack in stacks.values() for image in stack)
    if any(_fits(timepoints, depth, stack) for stack in ([*chain(*stacks.values())], *stacks.values())):
        return None
    if len(shape) == 2:
        write = "dicom_image with the SOPInstanceUID of the image that it lies over"
        return Fault("references", path, f"one plane came for a series of {frames}", write)
    several = len(stacks) > 1 or any(image.frames > 1 for image in images)
    if several and timepoints * depth <= frames:
        return None  # a stack may end elsewhere, and frames of one image may be several
    return _unlike(path, shape, (frames, rows, columns), "its series")


def _fits(timepoints: int, depth: int, stack: Sequence[Header]) -> bool:
    """Tell whether a mask may lie over these images: over all of them, or over those of one timepoint."""
    frames = sum(image.frames for image in stack)
    if timepoints * depth == frames:
        return True
    if not all(image.frames == 1 and image.position for image in stack):
        # Nothing is known of timepoints within an image, nor of images that do not say where they lie.
        return depth > 1 and not frames % depth
    return timepoints == 1 and depth == len({image.position for image in stack})


def _unlike(path: str, shape: tuple[int, ...], true: tuple[int, ...] | None, whose: str) -> Fault:
    came = f"{shape_text(shape)} came"
    if true is None:
        return Fault("references", path, came, f"height and width of {whose}, rows and columns")
    plain = shape[-len(true) :]
    if plain != true and plain in permutations(true):
        came += ", which fits only with its axes swapped"
    order = "depth, height, width" if len(true) > 2 else "height, width"
    write = f"{shape_text(true)} ({order}), as {whose} is, and the array in that order"
    return Fault("references", path, came, write)


def _outside(path: str, found: Json, ends: tuple[str, str], study: Study) -> Fault | None:
    """Return a fault where a box or a line does not lie on its image at all, or only with swapped numbers."""
    points = [found.get(end) for end in ends]
    image = _image_of(found, study)
    in_space = found.get("coordinates_type") == "world"
    if image is not None and in_space:
        points = [_in_pixels(point, image) for point in points]
    if image is None or not image.rows or not all(_is_point(point) for point in points):
        return None
    xs, ys = zip(*points, strict=True)
    size = f"{image.columns} columns and {image.rows} rows"
    if not in_space and min(image.rows, image.columns) > _FEW and _are_parts((*xs, *ys)):
        came = "all its numbers are from 0.0 to 1.0, parts of its image or of one pixel"
        return Fault("findings", path, came, f"pixels: its image has {size}")
    if _inside(xs, ys, image.columns, image.rows, _NEAR):
        return None
    if not in_space and _inside(ys, xs, image.columns, image.rows, 0.0):
        came = "it fits the image only with column and row swapped"
        return Fault("findings", path, came, f"[column, row]: its image has {size}")
    return Fault(
        "findings",
        path,
        "it lies outside of its image, or far beyond its edge",
        f"{'patient coordinates in mm' if in_space else 'pixels'} of its image, which has {size}",
    )


def _are_parts(numbers: Sequence[float]) -> bool:
    return all(0 <= one <= 1 for one in numbers) and any(0 < one < 1 for one in numbers)


def _in_pixels(point: Any, image: Header) -> list[float] | None:
    """Return [column, row] of patient coordinates on an image; None where nobody knows where it lies."""
    try:
        position, orientation, spacing = (
            [float(one) for one in text.split("\\")]
            for text in (image.position, image.orientation, image.spacing)
        )
        away = [one - corner for one, corner in zip(point, position, strict=True)]
        along = (sum(map(mul, away, orientation[at:])) / spacing[at == 0] for at in (0, 3))
        return [float(one) for one in along]
    except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError):
        return None


def _inside(xs: Sequence[float], ys: Sequence[float], columns: int, rows: int, near: float) -> bool:
    """Tell whether points lie on an image. `near`: so much of its side may they lie beyond."""
    across, down = 1 + near * columns, 1 + near * rows
    return all(-across <= x <= columns + across for x in xs) and all(-down <= y <= rows + down for y in ys)


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, int | float) for one in value)


def _image_of(holder: Json, study: Study) -> Header | None:
    inner = holder.get("dicom_image")
    uid = (inner if isinstance(inner, dict) else holder).get("SOPInstanceUID")
    return study.image(uid) if isinstance(uid, str) else None


def axes_of(part: Json) -> tuple[int, ...] | None:
    """Return the shape that a part tells: of (timepoints, depth, height, width) those told; else None."""
    told = part.get("binary_data_shape")
    try:
        return Shape.model_validate(told).axes if isinstance(told, dict) else None
    except ValueError:
        return None


def _objects(value: Any) -> list[Json]:
    """Return the entries of a list; another thing in an object's place becomes an empty one."""
    entries = value if isinstance(value, list) else []
    return [entry if isinstance(entry, dict) else {} for entry in entries]
