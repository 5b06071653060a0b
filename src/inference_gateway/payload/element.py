"""The kinds of element: what a model may return, as bytes in blocks."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from inference_gateway.errors import InvalidModelOutput

Block = bytes | memoryview
BLOCK = 1 << 20  # bytes sent, read or made contiguous at once
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
