"""The request: a body of known length that is read as it is sent, as often as it must be sent.

It is read in blocks of up to 1 MiB, and hashed on the way. Short parts go together, so that ten thousand of
them do not cost ten thousand calls.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from inference_gateway.client.inputs import Input, InputPart, input_parts
from inference_gateway.client.temporary import TemporarySpool
from inference_gateway.errors import MultipartError
from inference_gateway.multipart import Encoder
from inference_gateway.payload.element import BLOCK, BufferElement

_TOGETHER = 64 << 10


@dataclass(frozen=True)
class Progress:
    """How far a call has come; bytes are those of the bodies as they go over the wire.

    `files` is the number of inputs. The model computes while `sent == total` and `received == 0`.
    `answer_total` is None where the gateway does not say it. A call that is tried again begins again at 0.
    """

    sent: int
    total: int
    files_sent: int
    files: int
    received: int = 0
    answer_total: int | None = None


OnProgress = Callable[[Progress], object]


class Upload:
    """One request. What it does blocks, except for `progress` and `close`.

    `json_input`: what `json.dumps` takes. Raises `TypeError`, `ValueError` or `OSError` where the JSON or an
    input is none.
    """

    def __init__(self, json_input: Any, inputs: Iterable[Input]) -> None:
        self._spool = TemporarySpool()
        root = BufferElement(memoryview(json.dumps(json_input).encode()))
        self._parts = [
            InputPart("application/json", None, root, root.size),
            *input_parts(inputs, self._spool),
        ]
        boundary = secrets.token_hex(16)
        encoder = Encoder(boundary)
        self._heads = [_head(encoder, index, part) for index, part in enumerate(self._parts)]
        self._end_part = encoder.end_part()
        self._finish = encoder.finish()
        self.total = sum(map(len, self._heads)) + sum(part.size for part in self._parts)
        self.total += len(self._parts) * len(self._end_part) + len(self._finish)
        self.headers = {
            "Content-Type": f"multipart/related; boundary={boundary}",
            "Content-Length": str(self.total),
            "Accept-Encoding": "identity",  # what is hashed is what goes over the wire
        }
        self._reading: Generator[bytes, None, None] | None = None
        self._start()

    def _start(self) -> None:
        self._digest = hashlib.sha256()
        self._files_done = 0
        self.began = self.ended = time.perf_counter()

    @property
    def input_hash(self) -> str:
        """SHA-256 hex over all part bodies that have been read."""
        return self._digest.hexdigest()

    def blocks(self) -> Iterator[bytes]:
        """Return the body, from its start. Raises `OSError`; `ValueError` where an input changes its size."""
        self._start()
        self._reading = self._read()
        return self._reading

    def _read(self) -> Generator[bytes, None, None]:
        together = bytearray()
        for index, (head, part) in enumerate(zip(self._heads, self._parts, strict=True)):
            together += head
            for block in self._blocks_of(index, part):
                if together and len(together) + len(block) > _TOGETHER:
                    yield bytes(together)
                    together.clear()
                if len(block) > _TOGETHER:
                    yield bytes(block)
                else:
                    together += block
            together += self._end_part
            self._files_done = index
        yield bytes(together + self._finish)
        self.ended = time.perf_counter()

    def _blocks_of(self, index: int, part: InputPart) -> Iterator[memoryview]:
        size = 0
        for block in part.element.blocks():
            view = memoryview(block)
            self._digest.update(view)
            size += len(view)
            yield from (view[start : start + BLOCK] for start in range(0, len(view), BLOCK))
        if size != part.size:
            raise ValueError(f"input {index - 1} has changed its size while it was sent")

    def progress(self, sent: int, received: int, answer_total: int | None) -> Progress:
        """How far it is, when so many bytes have gone out and come back."""
        return Progress(sent, self.total, self._files_done, len(self._parts) - 1, received, answer_total)

    def close(self) -> None:
        """Close the file that is being read, and free what was copied."""
        if self._reading is not None:
            # A thread may still be at a block, after a call was cancelled: then it drops the file itself.
            with suppress(ValueError):
                self._reading.close()
        self._parts, self._heads = [], []  # there may be thousands, and the last reference may go late
        self._spool.close()


def _head(encoder: Encoder, index: int, part: InputPart) -> bytes:
    disposition = f'form-data; name="{f"input_{index - 1}" if index else "request_json"}"'
    if part.filename is not None:
        quoted = re.sub(r'(["\\])', r"\\\1", part.filename)
        disposition += f'; filename="{quoted}"'
    try:
        return encoder.begin_part([("Content-Disposition", disposition), ("Content-Type", part.content_type)])
    except MultipartError as error:
        raise ValueError(
            f"input {index - 1}: its name or content type has a character that no header may have"
        ) from error
