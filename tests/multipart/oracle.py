"""python-multipart as another reader of the same messages."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from python_multipart.multipart import MultipartParser

from tests.multipart.reading import Part

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


class Oracle:
    """The parts that python-multipart tells of; `ended` when it has seen the close delimiter."""

    def __init__(self, pieces: Iterable[bytes], boundary: bytes, max_size: float = float("inf")) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._fields: list[tuple[str, str]] = []
        self._name = self._value = self._body = b""
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }
        parser = MultipartParser(
            boundary, callbacks, max_size=max_size, max_header_count=1000, max_header_size=1 << 20
        )
        for piece in pieces:
            parser.write(piece)
        parser.finalize()

    def _part_begin(self) -> None:
        self._fields, self._body = [], b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        # It takes away blanks before a value only.
        self._fields.append((self._name.decode(), self._value.strip(b" \t").decode()))
        self._name = self._value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._body += data[start:end]

    def _part_end(self) -> None:
        self.parts.append((tuple(self._fields), self._body))

    def _end(self) -> None:
        self.ended = True
