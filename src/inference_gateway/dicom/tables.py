"""Look-up tables of DICOM: Modality LUT, VOI LUT, palettes (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5, C.7.9).

A descriptor says how many entries there are, which value the first one is for, and how many bits each has.
The entries are as they stand in the file: 16 bits each, or 8 bits packed two by two where they are too few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset

from inference_gateway.dicom import attributes

_MOST_ENTRIES = 1 << 16


@dataclass(frozen=True, eq=False)
class Table:
    """`entries[i]` (uint16) is for the value `first` + i; `bits` of each count."""

    entries: NDArray[np.uint16]
    first: int
    bits: int

    def look_up(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Return the entries for values of any type and shape; what lies outside gets the nearest entry.

        Values that are no whole number are rounded, those that are no number count as 0.
        """
        if values.dtype.kind == "f":
            last = self.first + len(self.entries) - 1
            values = np.rint(np.clip(np.nan_to_num(values), self.first, last))
        at = values.astype(np.int64)
        at -= self.first
        np.clip(at, 0, len(self.entries) - 1, out=at)
        found: NDArray[np.uint16] = self.entries[at]
        return found


def read_table(
    dataset: Dataset,
    descriptor: str,
    data: str,
    *,
    signed: bool,
    little: bool = True,
    segmented: bool = False,
) -> Table:
    """Return the table whose descriptor and data have these keywords.

    `signed`: the values looked up may be negative, so the first one is read as a number of 16 bits with sign
    whatever the descriptor's VR says. `little`: the data set is little endian. `segmented`: the data are
    segments (PS3.3 C.7.9.2). Raises `ValueError` where the table is damaged: no three numbers, entries of
    other than 8 to 16 bits, or fewer than it says.
    """
    described = attributes.numbers(dataset, descriptor, 3)
    if described is None:
        raise ValueError("its descriptor is not three numbers")
    count, first, bits = (int(number) for number in described)
    count = (count & 0xFFFF) or _MOST_ENTRIES  # it may be written as a number with sign
    if not 8 <= bits <= 16:
        raise ValueError(f"its entries have {bits} bits, and 8 to 16 are allowed")
    first = ((first + 0x8000) & 0xFFFF) - 0x8000 if signed else first & 0xFFFF
    numbers = _numbers(attributes.element(dataset, data), little)
    packed = bits == 8 and (segmented or (count + 1) // 2 <= len(numbers) < count)
    if packed:  # two to a word, the first in its lower half
        numbers = np.frombuffer(numbers.astype("<u2").tobytes(), np.uint8).astype(np.uint16)
    if segmented:
        numbers = _expanded(numbers, bits, count)
    if len(numbers) < count:
        raise ValueError(f"it has fewer entries than announced: {len(numbers)} of {count}")
    return Table(_within(numbers[:count], bits), first, bits)


def _numbers(element: DataElement | None, little: bool) -> NDArray[np.uint16]:
    """Return the words of a table, whatever its VR."""
    value: Any = None if element is None else element.value
    if isinstance(value, bytes | bytearray):
        words = np.frombuffer(bytes(value) + bytes(len(value) % 2), "<u2" if little else ">u2")
        return words.astype(np.uint16)
    listed = [] if value is None else [value] if isinstance(value, int) else list(value)
    return np.array([int(one) & 0xFFFF for one in listed], np.uint16)


def _expanded(numbers: NDArray[np.uint16], bits: int, most: int) -> NDArray[np.uint16]:
    """Return the entries of segments, `most` at most. Raises `ValueError` where one is damaged."""
    found: list[int] = []
    left = [int(number) for number in numbers]
    starts: list[tuple[int, list[int]]] = []
    at = 0
    try:
        while at + 1 < len(left) and len(found) < most:
            kind, length = left[at], left[at + 1]
            size = {0: 2 + length, 1: 3, 2: 4 if bits > 8 else 6}[kind]
            if kind == 2:
                offset = _joined(left[at + 2 : at + size], bits)
                first = [start for start, _ in starts].index(offset)
                copied = [segment for _, segment in starts[first : first + length]]
            else:
                copied = [left[at : at + size]]
                starts.append((at, copied[0]))
            for segment in copied:
                found.extend(_segment(segment, found, most - len(found)))
            at += size
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError("a segment of it is damaged") from error
    return np.array(found[:most], np.uint16)


def _joined(parts: list[int], bits: int) -> int:
    """Return the offset of an indirect segment, least significant part first, in entries."""
    width = 8 if bits == 8 else 16
    return sum(part << (width * at) for at, part in enumerate(parts)) // (width // 8)


def _segment(segment: list[int], before: list[int], room: int) -> list[int]:
    kind, length, *values = segment
    if kind == 0:
        return values[:room]
    start, steps = before[-1], min(length, room)
    return [round(start + (values[0] - start) * step / length) for step in range(1, steps + 1)]


def _within(entries: NDArray[np.uint16], bits: int) -> NDArray[np.uint16]:
    """Return entries that stay within their bits: those of 8 bits may fill 16 (PS3.3 C.7.6.3.1.6)."""
    most = (1 << bits) - 1
    if bits == 8 and entries.max() > most:
        entries = entries // 256
    return np.minimum(entries, most).astype(np.uint16)
