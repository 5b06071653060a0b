"""A file that a header is read from, until it has taken more steps than are good for one.

An element of eight bytes costs a parser a microsecond or more, an item of eight bytes ten times that: sixteen
megabytes of them would take half a minute and a gigabyte of memory.
"""

from __future__ import annotations

from struct import unpack

from pydicom import Dataset

from inference_gateway.dicom.inflating import Readable
from inference_gateway.dicom.limits import LimitError

# Steps that a header may take: one for each read, and more for an item. A frame of an enhanced image has some
# ten items and a hundred elements of its own.
_STEPS = 200_000
_STEPS_OF_FRAME = 1_000
_STEPS_OF_ITEM = 10
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")

# Tag and VR of NumberOfFrames, little and big endian, explicit and implicit.
_FRAMES = {b"\x28\0\x08\0IS": "<H", b"\0\x28\0\x08IS": ">H", b"\x28\0\x08\0": "<L"}
_MOST_DIGITS = 12

# Values that are shorter do not hold enough items to count.
_LONG_VALUE = 1 << 16


class Metered:
    """A file for a parser of headers. Raises `LimitError`, of a whole object, where no steps are left."""

    def __init__(self, file: Readable) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._read = file.read
        self._left = _STEPS
        self._frames_next = False

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, and count what reading them costs."""
        block = self._read(size)
        if self._frames_next:
            digits = block[:_MOST_DIGITS].strip(b" \0")
            self._left += _STEPS_OF_FRAME * (int(digits) if digits.isdigit() else 0)
        self._frames_next = len(block) == 8 and _announces_frames(block)
        self._spend(_STEPS_OF_ITEM if block[:4] in _ITEMS else 1)
        return block

    def convert(self, header: Dataset) -> None:
        """Count what converting the long values of a header will take, as if they were read."""
        for tag in list(header.keys()):
            raw = header.get_item(tag).value
            if isinstance(raw, bytes) and len(raw) > _LONG_VALUE:
                self._spend(_STEPS_OF_ITEM * max(map(raw.count, _ITEMS)))

    def check(self) -> None:
        """Raise `LimitError` where more was taken than there was."""
        self._spend(0)

    def _spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise LimitError("more elements or items in its header than an image has", is_object=True)


def _announces_frames(head: bytes) -> bool:
    """Return whether a value of NumberOfFrames follows the head of an element."""
    form = _FRAMES.get(head[:6]) or _FRAMES.get(head[:4])
    if form is None:
        return False
    length: int = unpack(form, head[6:] if form.endswith("H") else head[4:])[0]
    return 0 < length <= _MOST_DIGITS
