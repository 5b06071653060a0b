"""Elements held against their entries of `parts`: sizes, values, DICOM that is none.

Sizes and beginnings are always looked at. Values cost a pass over a mask: of a large one only stretches are
looked at, spread over it, so that no answer costs more than `LOOK` bytes (docs/answers.md says so).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_gateway.payload.element import (
    BLOCK,
    BufferElement,
    Element,
    FileElement,
    PathElement,
    StridedElement,
)
from inference_gateway.results.faults import Fault, shape_text
from inference_gateway.results.headers import BEGINNING, Head, is_cut, is_dicom, read_header
from inference_gateway.results.study_rules import axes_of

LOOK = 4 << 20
"""Bytes of all masks of an answer whose values are looked at."""

_STRETCHES = 64  # of one mask that is not looked at as a whole
_SORTS_FIRST = 8  # values of a mask are taken out one by one, so many; then counted

# What a structured report and a presentation state are (PS3.4 B.5, PS3.6 A): the beginning of their classes.
_CLASSES = {
    "dicom_structured_report": ("1.2.840.10008.5.1.4.1.1.88.", "a structured report"),
    "dicom_gsps": ("1.2.840.10008.5.1.4.1.1.11.", "a presentation state"),
}

Json = Mapping[str, Any]


def size_fault(index: int, part: Json, size: int | None, what: str = "") -> Fault | None:
    """Return a fault where a mask has not one byte for each pixel of its shape.

    `size`: bytes of the element, None where nobody knows. `what`: it came as, such as "float32 of 4 x 4".
    """
    shape = axes_of(part)
    if shape is None or size is None or size == prod(shape):
        return None
    came = f"{what or 'an element'}, {size:,} bytes, came"
    told = " x ".join(shape_text((length,)) for length in shape)
    write = f"uint8, one byte for each pixel of its binary_data_shape, {told} ({prod(shape):,} bytes)"
    if "float" in what:
        write += ": from_probability(values) makes that of 0.0 to 1.0"
    elif "bool" in what:
        write += ": from_bool(values) makes that of a bool array"
    return Fault("element-size", f"element {index}", came, write, refused=True)


def order_fault(index: int, part: Json, value: Any) -> Fault | None:
    """Return a fault where an array has the right size, but other rows or planes than its shape says.

    Axes that only lie together, as in a flat array, are none.
    """
    told = axes_of(part)
    if not isinstance(value, np.ndarray) or told is None:
        return None
    shape, true = _strides(told), _strides(value.shape)
    if shape <= true or true <= shape:
        return None
    axes = "(timepoints, depth, height, width)"
    if sorted(filter(_is_long, value.shape)) == sorted(filter(_is_long, told)):
        write = f"the array with its axes in the order {axes}: np.moveaxis turns them"
    else:
        write = f"an array of its binary_data_shape, {axes}"
    came = f"an array of {shape_text(value.shape)} came for a shape of {shape_text(told)}"
    return Fault("element-size", f"element {index}", came, write)


def _strides(shape: Sequence[int]) -> set[int]:
    """Return how many items lie between neighbours along each axis, in C order, and how many there are."""
    return {*accumulate(reversed(shape), mul)} - {1}


def _is_long(length: int) -> bool:
    return length != 1


def dicom_faults(index: int, part: Json, head: Head, size: int) -> Iterator[Fault]:
    """Yield what is wrong with a DICOM object of `size` bytes, by its beginning and its header."""
    if not is_dicom(head(BEGINNING)):
        yield Fault(
            "dicom",
            f"element {index}",
            "what came is no DICOM file" if head(1) else "an empty element came",
            "a whole DICOM file (PS3.10) with its preamble, or a pydicom Dataset",
            refused=True,
        )
        return
    header = read_header(head)
    if header is None:
        return
    if not (header.sop_class and header.image):
        yield Fault(
            "dicom",
            f"element {index}",
            "a DICOM file without SOPClassUID or SOPInstanceUID came",
            "both: a viewer has no other way to know the object",
        )
        return
    if is_cut(head, size):
        came = "a DICOM file came that ends before its pixel data does"
        yield Fault("dicom", f"element {index}", came, "the whole file")
    beginning, name = _CLASSES.get(str(part.get("binary_type")), ("", ""))
    if not header.sop_class.startswith(beginning):
        yield Fault(
            "dicom",
            f"element {index}",
            "a DICOM object of another class came",
            f"{name}, or 'dicom' as its binary_type",
        )


def value_fault(index: int, part: Json, element: Element, look: int) -> Fault | None:
    """Return a fault where a mask has values that its type has no meaning for.

    `look`: bytes of it that are looked at; a mask of 0 and 1 in there is looked at until there is another.
    """
    values = values_of(stretches_of(element, look))
    match part.get("binary_type"):
        case "numeric_label_mask":
            names = part.get("label_map")
            missing = 0
            if isinstance(names, dict) and names and all(map(_is_number, names)):
                missing = len(values - {0, *map(int, names)})
            if missing:
                return Fault(
                    "label-maps",
                    f"parts[{index}].label_map",
                    f"it lacks {missing} of the numbers in the mask",
                    "a name for each number of the mask but 0",
                )
        case "boolean_mask" if len(values - {0}) > 1:
            return Fault(
                "values",
                f"element {index}",
                f"a boolean_mask of {len(values)} values came",
                "0 and one other value, such as 255; a probability_mask for probabilities, a "
                "numeric_label_mask for several regions",
            )
        case "probability_mask" | "heatmap" as kind if 1 in values and _has_none_over_1(element):
            return Fault(
                "values",
                f"element {index}",
                f"a {kind} with no value over 1 came",
                "255 for 1.0 (from_bool and from_probability do so), or boolean_mask as its binary_type",
            )
    return None


def _has_none_over_1(element: Element) -> bool:
    size = element.size or 0
    return all(np.frombuffer(block, np.uint8).max() <= 1 for block in stretches_of(element, size))


def _is_number(key: Any) -> bool:
    return isinstance(key, str) and key.isascii() and key.isdigit() and len(key) <= 3


def values_of(blocks: Iterable[bytes]) -> frozenset[int]:
    """Return the distinct values of bytes."""
    found: set[int] = set()
    for block in blocks:
        found |= _distinct(block)
    return frozenset(found)


def _distinct(block: bytes) -> set[int]:
    found: set[int] = set()
    while block:  # masks have few values: taking one out of all bytes costs less than counting
        if len(found) == _SORTS_FIRST:
            return found | {
                int(value) for value in np.flatnonzero(np.bincount(np.frombuffer(block, np.uint8)))
            }
        found.add(block[0])
        block = block.translate(None, block[:1])
    return found


def stretches_of(element: Element, most: int) -> Iterator[bytes]:
    """Yield at most so many bytes of an element, spread over it; nothing of what is made as it is sent."""
    match element:
        case BufferElement(view):
            for start, stop in _spread(len(view), most):
                yield bytes(view[start:stop])
        case StridedElement(array):
            yield _thinned(array, most).tobytes()
        case PathElement(path, size):
            with path.open("rb") as file:
                yield from _from_file(file, size, most)
        case FileElement(file, int(size)):
            yield from _from_file(file, size, most)


def head_of(element: Element) -> Head | None:
    """Return what gives the beginning of an element, None for what is made as it is sent."""
    match element:
        case BufferElement(view):
            return lambda size: bytes(view[:size])
        case PathElement() | FileElement(size=int()):
            return lambda size: next(_pieces(element, size), b"")
    return None


def _pieces(element: PathElement | FileElement, size: int) -> Iterator[bytes]:
    if isinstance(element, PathElement):
        with element.path.open("rb") as file:
            yield file.read(size)
    else:
        element.file.seek(0)
        yield element.file.read(size)


def _from_file(file: Any, size: int, most: int) -> Iterator[bytes]:
    for start, stop in _spread(size, most):
        file.seek(start)
        yield file.read(stop - start)


def _spread(size: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield where stretches begin and end: over all of it, or so many bytes from its beginning to its end."""
    if size <= most:
        yield from ((start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))
        return
    length = max(1, most // _STRETCHES)
    for at in range(_STRETCHES):
        start = at * (size - length) // (_STRETCHES - 1)
        yield start, start + length


def _thinned(array: NDArray[Any], most: int) -> NDArray[Any]:
    """Return every n-th item along the axes, the first one first, until few enough are left."""
    axis = 0
    while array.size > most and axis < array.ndim:
        step = min(array.shape[axis], -(-array.size // most))
        array = array[(slice(None),) * axis + (slice(None, None, step),)]
        axis += 1
    return array
