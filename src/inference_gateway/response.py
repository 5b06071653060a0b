"""From what a model returned to the bytes of the answer.

`prepare` checks the result as a whole, on the model's thread, before the first byte is sent: after it, only
an element that fails while it is being read can go wrong. `stream` is the answer as an async generator; it
never holds more than a few blocks of an element, and hashes beside the sending.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import io
import json
import os
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from inference_gateway.errors import InvalidModelOutput
from inference_gateway.multipart import Encoder

Block = bytes | memoryview
Run = Callable[..., Awaitable[Any]]  # runs a blocking function somewhere beside the event loop

BINARY_TYPES: Mapping[str, str] = {
    "probability_mask": "application/binary",
    "heatmap": "application/binary",
    "numeric_label_mask": "application/binary",
    "boolean_mask": "application/binary",
    "dicom": "application/dicom",
    "dicom_secondary_capture": "application/dicom",
    "dicom_structured_report": "application/dicom",
    "dicom_gsps": "application/dicom",
}

BLOCK = 1 << 20  # bytes sent, read or made contiguous at once
_INLINE = 64 << 10  # an element in memory up to this size is hashed on the event loop and sent in one piece
_DATASET_MEMORY = 8 << 20  # an encoded data set over this size goes to a temporary file


class Element(Protocol):
    """The bytes of one element. `size` is None where it is not known before the end."""

    @property
    def size(self) -> int | None: ...

    def blocks(self) -> Iterator[Block]:
        """The bytes, in blocks. May block, may fail: it runs beside the event loop."""
        ...


class BufferElement(NamedTuple):
    """Bytes that lie in memory in one piece."""

    view: memoryview

    @property
    def size(self) -> int:
        return len(self.view)

    def blocks(self) -> Iterator[Block]:
        return iter((self.view,))


@dataclass(frozen=True)
class StridedElement:
    """An array whose C-order bytes do not lie in one piece: made contiguous block by block."""

    array: npt.NDArray[Any]

    @property
    def size(self) -> int:
        return self.array.nbytes

    def blocks(self) -> Iterator[Block]:
        items = max(1, BLOCK // self.array.itemsize)
        flags: Any = ["external_loop", "buffered"]
        for run in np.nditer(self.array, flags, ["readonly"], order="C", buffersize=items):
            yield np.asarray(run).tobytes()


@dataclass(frozen=True)
class FileElement:
    """A binary file, whole, from its start. `size` is None where it cannot seek."""

    file: Any
    size: int | None
    own: bool = False  # made here, to be closed here

    def blocks(self) -> Iterator[Block]:
        if self.size is not None:
            self.file.seek(0)
        left = self.size
        while left is None or left > 0:
            block = self.file.read(BLOCK if left is None else min(BLOCK, left))
            if not block:
                return
            left = None if left is None else left - len(block)
            yield block


@dataclass(frozen=True, slots=True)
class PathElement:
    """A file by its path; opened when its turn comes."""

    path: Path
    size: int

    def blocks(self) -> Iterator[Block]:
        with self.path.open("rb") as file:
            yield from FileElement(file, self.size).blocks()


@dataclass(frozen=True)
class IterableElement:
    """Bytes that the model produces as they are sent."""

    iterable: Iterable[Any]
    size: int | None = None

    def blocks(self) -> Iterator[Block]:
        for item in self.iterable:
            try:
                # A producer may use its buffer again: what is not immutable is copied.
                yield item if isinstance(item, bytes) else memoryview(item).tobytes()
            except TypeError:
                raise InvalidModelOutput("an iterable element gave something other than bytes") from None


class InferenceResponse(NamedTuple):
    """A checked result, ready to be sent. `elements`: media type and element, one for each of `parts`."""

    json: bytes
    elements: list[tuple[str, Element]]

    @property
    def needs_model(self) -> bool:
        """Whether the model goes on working while the answer is sent."""
        return any(isinstance(element, IterableElement) for _, element in self.elements)

    def end_iterables(self) -> None:
        """Ends the generators that have not come to their end: to be called on the model's thread."""
        for _, element in self.elements:
            if isinstance(element, IterableElement) and isinstance(element.iterable, Generator):
                element.iterable.close()

    def close(self) -> None:
        """Closes the files that were made for this response. A model's own stay open."""
        for _, element in self.elements:
            if isinstance(element, FileElement) and element.own:
                element.file.close()


def prepare(result: Any, binary_types: Mapping[str, str], spool_dir: Path) -> InferenceResponse:
    """Checks what a model returned: `(json, elements)`, or just `json`. Blocks; exhausts `elements`.

    `binary_types`: `binary_type` → media type. Raises `InvalidModelOutput` where the result does not fit
    the wire contract, and what a lazy `elements` raises.
    """
    if isinstance(result, tuple):
        if len(result) != 2:
            raise InvalidModelOutput(f"the model returned a tuple of {len(result)}, not (json, elements)")
        json_value, elements = result
    else:
        json_value, elements = result, None
    parts = json_value.get("parts", []) if isinstance(json_value, dict) else []
    if not isinstance(parts, list | tuple):
        raise InvalidModelOutput(f"'parts' is a {type(parts).__name__}, not a list")
    media_types = [_media_type(index, part, binary_types) for index, part in enumerate(parts)]
    found = [] if elements is None else _listed(elements)
    if len(found) != len(media_types):
        raise InvalidModelOutput(
            f"the model returned {len(found)} elements for {len(media_types)} entries of 'parts'"
        )
    try:
        text = _to_json(json_value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidModelOutput(f"the JSON cannot be written ({type(error).__name__})") from error
    response = InferenceResponse(text.encode("ascii"), [])
    try:
        for index, value in enumerate(found):
            response.elements.append((media_types[index], _element(index, value, spool_dir)))
    except BaseException:
        response.close()
        raise
    return response


def _media_type(index: int, part: Any, binary_types: Mapping[str, str]) -> str:
    binary_type = part.get("binary_type") if isinstance(part, dict) else None
    if not isinstance(binary_type, str) or binary_type not in binary_types:
        raise InvalidModelOutput(f"parts[{index}] has no known 'binary_type': {', '.join(binary_types)}")
    return binary_types[binary_type]


def _listed(elements: Any) -> list[Any]:
    if isinstance(elements, str | bytes | bytearray | memoryview | Mapping | io.IOBase):
        raise InvalidModelOutput(f"the elements are a {type(elements).__name__}, not a list of elements")
    try:
        iterator = iter(elements)
    except TypeError:
        raise InvalidModelOutput(
            f"the elements are a {type(elements).__name__}, not a list of elements"
        ) from None
    return list(iterator)


def _numpy_value(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


_to_json = json.JSONEncoder(default=_numpy_value).encode


def _element(index: int, value: Any, spool_dir: Path) -> Element:
    """The element for what a model returned; raises `InvalidModelOutput` for what is none."""
    try:
        element = element_of(value, spool_dir)
    except (OSError, ValueError) as error:
        raise InvalidModelOutput(f"element {index} cannot be read ({type(error).__name__})") from error
    if element is None:
        raise InvalidModelOutput(
            f"element {index} is a {type(value).__name__}: return an array, bytes, a binary file, a path, "
            "a pydicom Dataset or an iterable of bytes"
        )
    return element


def element_of(value: Any, spool_dir: Path) -> Element | None:
    if isinstance(value, np.ndarray | np.generic):
        return _array_element(np.asarray(value))
    pydicom = sys.modules.get("pydicom")
    if pydicom is not None and isinstance(value, pydicom.Dataset):
        return _dataset_element(value, spool_dir)
    if isinstance(value, os.PathLike):
        path = Path(value)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or not os.access(path, os.R_OK):
            return None
        return PathElement(path, status.st_size)
    with contextlib.suppress(TypeError):  # before files: an mmap is both
        view = memoryview(value)
        return BufferElement(
            view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())
        )
    if hasattr(value, "read"):
        return _file_element(value)
    if isinstance(value, list | tuple):
        if not all(isinstance(item, bytes | bytearray | memoryview) for item in value):
            return None
        return IterableElement(value, sum(memoryview(item).nbytes for item in value))
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping | set | frozenset):
        return IterableElement(value)
    return None


def _array_element(array: npt.NDArray[Any]) -> Element | None:
    if array.dtype.hasobject:
        return None
    if not array.nbytes:
        return BufferElement(memoryview(b""))
    if array.flags.c_contiguous:
        return BufferElement(array.reshape(-1).view(np.uint8).data)
    return StridedElement(array)


def _file_element(file: Any) -> Element | None:
    if getattr(file, "closed", False) or not isinstance(file.read(0), bytes):
        return None
    if not (hasattr(file, "seekable") and file.seekable()):
        return FileElement(file, None)
    return FileElement(file, file.seek(0, io.SEEK_END))


def _dataset_element(dataset: Any, spool_dir: Path) -> Element:
    """The data set as a DICOM file (PS3.10): with the file meta information it has, or the plainest."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.update(getattr(dataset, "file_meta", None) or {})
    if "TransferSyntaxUID" not in meta:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole = copy.deepcopy(dataset)  # pydicom completes what it writes; values of bytes are not copied
    whole.file_meta = meta
    file = tempfile.SpooledTemporaryFile(_DATASET_MEMORY, dir=str(spool_dir))  # noqa: SIM115 - closed when sent
    try:
        dcmwrite(file, whole, enforce_file_format=True)
    except Exception as error:  # pydicom raises nearly everything
        file.close()
        raise InvalidModelOutput(f"a Dataset cannot be encoded ({type(error).__name__})") from error
    return FileElement(file, file.tell(), own=True)


class ResponseStream:
    """The answer's body: `content_length` (None where unknown), and `body()`, its bytes.

    `boundary`: random, so that no element contains it.

    `run` runs a blocking function beside the event loop, `run_model` on a thread of the model: iterables
    are the model's own work. `output_hash` is there when the iteration has ended: SHA-256 hex over the JSON
    and the body of each element, as sent. Each element's size is checked against what was announced; an
    element that fails raises, and the answer must not be completed.
    """

    def __init__(
        self, response: InferenceResponse, boundary: str, input_hash: str, run: Run, run_model: Run
    ) -> None:
        self.output_hash: str | None = None
        self._input_hash = input_hash
        self._run = run
        self._run_model = run_model
        self._digest = hashlib.sha256()
        encoder = Encoder(boundary)
        self._parts: list[tuple[bytes, Element]] = [
            (_head(encoder, "json-body", "application/json"), BufferElement(memoryview(response.json)))
        ]
        for index, (media_type, element) in enumerate(response.elements):
            self._parts.append((_head(encoder, f"elem_{index}", media_type), element))
        self._hashes_head = _head(encoder, "hashes", "text/plain")
        self._end_part = encoder.end_part()
        self._finish = encoder.finish()

    @property
    def content_length(self) -> int | None:
        """Length of the whole body in bytes, None where an element's size is not known beforehand."""
        total = len(self._hashes_head) + 2 * 64 + 1 + len(self._end_part) + len(self._finish)
        for head, element in self._parts:
            if element.size is None:
                return None
            total += len(head) + element.size + len(self._end_part)
        return total

    async def body(self) -> AsyncGenerator[tuple[Block, bool], None]:
        """The bytes, once: blocks, and with each whether more will come."""
        small = bytearray()  # short runs go out together
        for head, element in self._parts:
            small += head
            if isinstance(element, BufferElement) and element.size <= _INLINE:
                self._digest.update(element.view)
                small += element.view
            else:
                yield bytes(small), True
                small.clear()
                blocks = (
                    self._buffer(element) if isinstance(element, BufferElement) else self._blocks(element)
                )
                async for block in blocks:
                    for start in range(0, len(block), BLOCK):
                        yield block[start : start + BLOCK], True
            small += self._end_part
            if len(small) > _INLINE:
                yield bytes(small), True
                small.clear()
        self.output_hash = self._digest.hexdigest()
        small += self._hashes_head + f"{self._input_hash}:{self.output_hash}".encode()
        yield bytes(small + self._end_part + self._finish), False

    async def _buffer(self, element: BufferElement) -> AsyncGenerator[Block, None]:
        """Hashes it in one go, beside the sending."""
        hashing = asyncio.ensure_future(self._run(self._digest.update, element.view))
        yield element.view
        await hashing

    async def _blocks(self, element: Element) -> AsyncGenerator[Block, None]:
        """Reads one block ahead; hashes where it reads."""
        run = self._run_model if isinstance(element, IterableElement) else self._run
        blocks = element.blocks()
        size = 0
        ahead = asyncio.ensure_future(run(self._next_block, blocks))
        try:
            while (block := await asyncio.shield(ahead)) is not None:
                size += len(block)
                if element.size is not None and size > element.size:
                    break
                ahead = asyncio.ensure_future(run(self._next_block, blocks))
                await asyncio.sleep(0)  # it goes to its thread now, not when this block has been sent
                yield block
        finally:
            ahead.add_done_callback(_see_exception)
        if element.size is not None and size != element.size:
            raise InvalidModelOutput("an element has another size than it had before it was sent")

    def _next_block(self, blocks: Iterator[Block]) -> Block | None:
        block = next(blocks, None)
        if block is not None:
            self._digest.update(block)
        return block


def _head(encoder: Encoder, name: str, media_type: str) -> bytes:
    return encoder.begin_part(
        [
            ("Content-Disposition", f'form-data; name="{name}"; filename="{name}"'),
            ("Content-Type", media_type),
        ]
    )


def _see_exception(job: asyncio.Future[Any]) -> None:
    """Nobody waits for this block any more."""
    if not job.cancelled():
        job.exception()
