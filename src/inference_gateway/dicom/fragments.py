"""Encapsulated pixel data → the bytes of each frame (PS3.5 A.4), in any order, after one pass over its items.

Costs sixteen bytes for each item. Nothing of a frame is read before it is asked for.
"""

from __future__ import annotations

from array import array
from struct import unpack

import numpy as np

from inference_gateway.dicom.limits import LimitError, most_frames
from inference_gateway.dicom.sources import BinaryFile

_ITEM = b"\xfe\xff\x00\xe0"

# The last marker of JPEG, JPEG-LS and JPEG 2000, and how far before the end of a frame it may lie.
_END = b"\xff\xd9"
_END_BYTES = 10


class Fragments:
    """The items of encapsulated pixel data, sorted into frames. Reads from the file that it was made with."""

    def __init__(self, file: BinaryFile, available: int, frames: int, offsets: bytes = b"") -> None:
        """Take `available` bytes of pixel data from where `file` stands, at the Basic Offset Table.

        `offsets` is the Extended Offset Table, where there is one. Raises `LimitError` where there are more
        items than so many bytes are good for.
        """
        self._file, self._frames = file, frames
        end = file.tell() + available
        table = self._offset_table(frames)
        self._origin = file.tell()
        self._starts, self._lengths = array("Q"), array("L")
        most = most_frames(available)
        while file.tell() < end:
            head = file.read(8)
            if len(head) < 8 or head[:4] != _ITEM:
                break
            (length,) = unpack("<L", head[4:])
            self._starts.append(file.tell())
            self._lengths.append(length)
            if len(self._starts) > most:
                raise LimitError("too many fragments for so little pixel data")
            file.seek(length, 1)
        extended = np.frombuffer(offsets[: len(offsets) // 8 * 8], "<u8")
        self._first = self._first_of(frames, extended if len(extended) else table)

    def check(self) -> None:
        """Raise `LimitError` where there are fewer fragments with something in them than frames."""
        if sum(1 for length in self._lengths if length) < self._frames:
            raise LimitError("less pixel data than its header says")

    def read(self, index: int) -> bytes:
        """Return the bytes of a frame, counted from 0. Raises `IndexError` where there are not so many."""
        items = range(self._first[index], self._first[index + 1])
        return b"".join(self._item(at) for at in items)

    def _item(self, at: int) -> bytes:
        self._file.seek(self._starts[at])
        return self._file.read(self._lengths[at])

    def _offset_table(self, frames: int) -> np.ndarray[tuple[int], np.dtype[np.unsignedinteger]]:
        """Read the Basic Offset Table: where frames begin, from the first item on."""
        head = self._file.read(8)
        length = unpack("<L", head[4:])[0] if len(head) == 8 and head[:4] == _ITEM else 0
        start = self._file.tell()
        data = self._file.read(min(length, 4 * frames))
        self._file.seek(start + length)
        return np.frombuffer(data[: len(data) // 4 * 4], "<u4")

    def _first_of(
        self, frames: int, offsets: np.ndarray[tuple[int], np.dtype[np.unsignedinteger]]
    ) -> list[int]:
        """Return the first item of each frame, and the number of items."""
        items = len(self._starts)
        if frames == 1:
            return [0, items]
        if items == frames:
            return list(range(items + 1))
        at = {start - 8 - self._origin: item for item, start in enumerate(self._starts)}
        first = [at.get(int(offset), -1) for offset in offsets]
        if len(first) == frames and first == sorted(first) and first[:1] == [0]:
            return [*first, items]
        ends = [item + 1 for item in range(items) if _END in self._tail(item)]
        return [0, *ends]

    def _tail(self, item: int) -> bytes:
        length = self._lengths[item]
        self._file.seek(self._starts[item] + max(0, length - _END_BYTES))
        return self._file.read(min(length, _END_BYTES))
