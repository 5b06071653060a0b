"""What the frames between a gateway and a model process mean, and how requests and results are put into them.

To the process: what its model is, once; then for each request `call`, and, where the result has elements
that the model still produces, `next` for each block and `release` at the end; for several requests at once
`batch`, and `outcomes` for those for which the answer had no room; at last `teardown`. Each is answered by
one frame: `done`, or `error` with the kind of the exception.

A request crosses as a study handle: the spool's descriptor (or its bytes, where they are few), three offsets
for each part, and the JSON. A result crosses as its JSON, and for each element where its bytes are: in the
frame, in the arena, in a file, under a path, or still to come.
"""

from __future__ import annotations

import array
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_gateway.execution.check import InferenceResponse
from inference_gateway.execution.process.arena import Arena, Borrowed
from inference_gateway.execution.process.frames import MAX_DESCRIPTORS, Frame
from inference_gateway.payload.element import (
    BufferElement,
    Element,
    FileElement,
    PathElement,
    StridedElement,
)
from inference_gateway.payload.part import Part
from inference_gateway.payload.spool import Spool

_INLINE = 64 << 10  # bytes of an answer's elements, or of a body, that go in the frame itself


class Packed:
    """A result on its way out: head, payload and descriptors of a frame. `blocks`: elements still to come.

    `by_name`: a file's path means the same to the gateway; elsewhere the file is opened here.
    """

    def __init__(self, response: InferenceResponse, arena: Arena, *, by_name: bool = True) -> None:
        self.payload: list[bytes | memoryview] = [response.json]
        self.descriptors: list[int] = []
        self._arena = arena
        self._inline = 0
        self._arena_used = False
        self._by_name = by_name
        if not by_name:
            _open_paths(response)
        self.elements = [self._place(element) for _, element in response.elements]
        again = arena.place is not None and not arena.has_grown
        is_new = not (again and arena.is_known)
        if self._arena_used:
            if is_new:
                self.descriptors.insert(0, arena.seal())
            arena.lent, arena.is_known = True, again
        self.head = {
            "done": "call",
            "json": len(response.json),
            "warnings": response.warnings,
            "faults": response.faults,
            "arena": [arena.place, again, is_new] if self._arena_used else None,
            "elements": [
                [media_type, *place]
                for (media_type, _), place in zip(response.elements, self.elements, strict=True)
            ],
        }

    @property
    def is_held(self) -> bool:
        """Whether the model goes on producing it."""
        return any(place[0] == "blocks" for place in self.elements)

    def _place(self, element: Element) -> tuple[Any, ...]:
        match element:
            case BufferElement(view):
                return self._buffer(view)
            case StridedElement():
                return self._write(element.blocks())
            case PathElement(path, size) if self._by_name:
                return "path", str(path.absolute()), size  # the gateway has a folder of its own
            case PathElement():
                return self._write(element.blocks())
            case FileElement(size=int()):
                return self._file(element)
            case _:
                return "blocks", element.size

    def _buffer(self, view: memoryview) -> tuple[Any, ...]:
        offset = self._arena.offset_of(view) if view else None
        if offset is not None:
            self._arena_used = True
            return "arena", offset, len(view)
        if self._inline + len(view) <= _INLINE:
            self._inline += len(view)
            self.payload.append(view)
            return "inline", len(view)
        return self._write(iter((view,)))

    def _write(self, blocks: Iterator[bytes | memoryview]) -> tuple[Any, ...]:
        offset, size = self._arena.write(blocks)
        if not size:  # there may be no memory to map
            return "inline", 0
        self._arena_used = True
        return "arena", offset, size

    def _file(self, element: FileElement) -> tuple[Any, ...]:
        """Take a file: a real one crosses by its descriptor, what only looks like one by its bytes."""
        try:
            element.file.flush()
            descriptor = element.file.fileno()
            is_real = stat.S_ISREG(os.fstat(descriptor).st_mode)
        except (AttributeError, OSError, ValueError):
            is_real = False
        if not is_real or len(self.descriptors) + 1 >= MAX_DESCRIPTORS or _is_translated(element):
            return self._write(element.blocks())
        self.descriptors.append(descriptor)
        return "file", element.size


def _open_paths(response: InferenceResponse) -> None:
    """Open what is a file by its path, as many as may cross; the response closes them."""
    for index, (media_type, element) in enumerate(response.elements[: MAX_DESCRIPTORS - 1]):
        if isinstance(element, PathElement):
            file = FileElement(element.path.open("rb"), element.size, own=True)
            response.elements[index] = media_type, file


def _is_translated(element: FileElement) -> bool:
    """Whether what `read` gives is not what lies in the file, as with gzip: the sizes differ then."""
    return os.fstat(element.file.fileno()).st_size != element.size


def is_plain(head: Mapping[str, Any]) -> bool:
    """Tell whether a frame is a result of which nothing is to come, in memory that is mapped already."""
    return (
        head.get("done") == "call"
        and (head["arena"] is None or not head["arena"][2])
        and not any(kind == "blocks" for _, kind, *_ in head["elements"])
    )


def unpack(
    frame: Frame, borrowed: Borrowed, blocks_of: Callable[[int, int | None], Element]
) -> InferenceResponse:
    """Make a response of a frame. `blocks_of(index, size)` gives an element that is still to come.

    Raises `ValueError` where the frame is not what `Packed` makes.
    """
    head, payload = frame.head, frame.payload
    every = memoryview(b"")
    if head["arena"] is not None:
        place, again, is_new = head["arena"]
        descriptor = frame.descriptors.pop(0) if is_new else None
        try:
            every = borrowed.view(place, again, descriptor)
        finally:
            if descriptor is not None:
                os.close(descriptor)
    at = head["json"]
    response = InferenceResponse(bytes(payload[:at]), [], head["warnings"], head["faults"])
    try:
        for index, (media_type, kind, *where) in enumerate(head["elements"]):
            element: Element
            if kind == "inline":
                element = BufferElement(payload[at : at + where[0]])
                at += where[0]
            elif kind == "arena":
                begin, size = where
                element = BufferElement(every[begin : begin + size])
            elif kind == "file":
                file = os.fdopen(frame.descriptors.pop(0), "rb")
                element = FileElement(file, where[0], own=True)
            elif kind == "path":
                element = PathElement(Path(where[0]), where[1])
            else:
                element = blocks_of(index, where[0])
            response.elements.append((media_type, element))
    except BaseException:
        response.close()
        raise
    return response


@dataclass(frozen=True)
class StudyHandle:
    """A request's inputs on their way in: head, payload and descriptors of a frame. `close` it when sent."""

    head: dict[str, Any]
    payload: list[bytes | memoryview]
    descriptors: list[int]
    arena: Arena | None = None

    @classmethod
    def of(cls, inputs: Sequence[Part], spool: Spool) -> StudyHandle:
        """Make the handle of what lies in `spool`, which the caller holds until the frame has been sent."""
        offsets = array.array("Q", [number for part in inputs for number in part.offsets]).tobytes()
        descriptor, memory = spool.shared()
        head = {"inputs": len(inputs), "size": spool.size}
        if descriptor is not None:
            return cls(head, [offsets], [descriptor])
        if spool.size <= _INLINE:
            return cls(head, [offsets, *(memoryview(block) for block in memory)], [])
        arena = Arena()
        arena.write(memoryview(block) for block in memory)
        return cls(head, [offsets], [arena.seal()], arena)

    def close(self) -> None:
        """Let go of what was made for the handle."""
        if self.arena is not None:
            self.arena.close()


def open_study(frame: Frame) -> tuple[Spool, list[Part]]:
    """Return what a `StudyHandle` was made of, on the other side: a spool and its parts."""
    count, size = frame.head["inputs"], frame.head["size"]
    offsets = array.array("Q", frame.payload[: 24 * count].tobytes())
    if frame.descriptors:
        spool = Spool.of_file(frame.descriptors.pop(), size)
    else:
        spool = Spool.of_memory(bytearray(frame.payload[24 * count :]))
    parts = [Part(spool, *offsets[at : at + 3]) for at in range(0, 3 * count, 3)]
    return spool, parts


def deadline_of(head: Mapping[str, Any]) -> float | None:
    """Return the deadline on this process's clock: another machine has one of its own."""
    remaining = head.get("remaining")
    return None if remaining is None else time.monotonic() + remaining
