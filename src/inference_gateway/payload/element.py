"""The kinds of element: what a model may return, as bytes in blocks."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import stat
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from inference_gateway.errors import InvalidModelOutput

Block = bytes | memoryview
BLOCK = 1 << 20  # bytes sent, read or made contiguous at once
_MEMORY = 8 << 20  # what is made here and is larger goes to a temporary file


class Element(Protocol):
    """The bytes of one element."""

    @property
    def size(self) -> int | None:
        """Return the length in bytes, None where it is not known beforehand."""
        ...

    def blocks(self) -> Iterator[Block]:
        """Yield the bytes, in blocks. May block, may fail: it runs beside the event loop."""
        ...


class BufferElement(NamedTuple):
    """Bytes that lie in memory in one piece."""

    view: memoryview

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return len(self.view)

    def blocks(self) -> Iterator[Block]:
        """Yield the bytes in one block."""
        return iter((self.view,))


@dataclass(frozen=True)
class StridedElement:
    """An array whose C-order bytes do not lie in one piece: made contiguous block by block."""

    array: npt.NDArray[Any]

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.array.nbytes

    def blocks(self) -> Iterator[Block]:
        """Yield the bytes; only one block at a time is a copy."""
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
        """Yield the bytes from the start, `size` of them at the most."""
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
        """Open the file, yield its bytes, close it."""
        with self.path.open("rb") as file:
            yield from FileElement(file, self.size).blocks()


class IterableElement:
    """Bytes that the model produces as they are sent. Used on the model's thread only."""

    def __init__(self, iterable: Iterable[Any], size: int | None = None) -> None:
        self.size = size
        self._items = iter(iterable)
        self._first: bytes | None = None

    def begin(self) -> None:
        """Ask for the first item, which shows whether these are bytes at all.

        Raises `InvalidModelOutput` where it is something else, and whatever the iterable raises.
        """
        for item in self._items:
            self._first = _bytes_of(item)
            break

    def blocks(self) -> Iterator[Block]:
        """Yield the items' bytes. Raises `InvalidModelOutput` for others, and what the iterable raises."""
        first, self._first = self._first, None
        if first is not None:
            yield first
            del first
        for item in self._items:
            yield _bytes_of(item)

    def end(self) -> None:
        """End a generator that has not come to its end."""
        if isinstance(self._items, Generator):
            self._items.close()


def _bytes_of(item: Any) -> bytes:
    """Return an item's bytes: copied, unless immutable, since a producer may use its buffer again."""
    if isinstance(item, bytes):
        return item
    if not isinstance(item, np.generic):  # a number has a buffer, too
        with contextlib.suppress(TypeError):
            return memoryview(item).tobytes()
    raise InvalidModelOutput(f"an iterable element gave something other than bytes: a {type_name(item)}")


def type_name(value: object) -> str:
    """Return the name of a value's type, with its module where that is not Python's own."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def as_array(value: Any) -> npt.NDArray[Any] | None:
    """Return an array-like of another library as an array, without a copy where it can be, else None.

    Raises `TypeError` where its values cannot be had, such as those on a GPU.
    """
    try:
        if any(hasattr(value, name) for name in ("__array__", "__array_interface__", "__array_struct__")):
            return np.asarray(value)
        return np.from_dlpack(value) if hasattr(value, "__dlpack__") else None
    except Exception as error:  # of other libraries: anything
        raise TypeError("an array that NumPy cannot read") from error


def element_of(value: Any, spool_dir: Path) -> Element | None:
    """Return the element for what a model returned, None for what is none.

    Blocks: it looks at files and encodes data sets, which large ones make a temporary file in `spool_dir`
    for. Raises whatever files and other libraries raise where a value cannot be read.
    """
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
    array = as_array(value)
    if array is not None:
        return _array_element(array)
    if hasattr(value, "read"):
        return _file_element(value)
    if isinstance(value, list | tuple):
        if not all(isinstance(item, bytes | bytearray | memoryview) for item in value):
            return None
        return IterableElement(value, sum(memoryview(item).nbytes for item in value))
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping | set | frozenset):
        return IterableElement(value)
    return None


def kept(element: Element, spool_dir: Path) -> Element:
    """Return an element that has all the bytes of `element`, which is read to its end.

    Blocks; a large one goes to a temporary file in `spool_dir`. Raises what reading it raises.
    """
    file = _temporary(spool_dir)
    try:
        for block in element.blocks():
            file.write(block)
        size = file.tell()
        if size <= _MEMORY:
            file.seek(0)
            with file:
                return BufferElement(memoryview(file.read()))
    except BaseException:
        file.close()
        raise
    return FileElement(file, size, own=True)


def _temporary(spool_dir: Path) -> tempfile.SpooledTemporaryFile[bytes]:
    return tempfile.SpooledTemporaryFile(_MEMORY, dir=str(spool_dir))  # closed when it has been sent


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
    """Return the data set as a DICOM file (PS3.10), with the file meta information it has or the least."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.update(getattr(dataset, "file_meta", None) or {})
    if "TransferSyntaxUID" not in meta:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole = copy.deepcopy(dataset)  # pydicom completes what it writes; values of bytes are not copied
    whole.file_meta = meta
    file = _temporary(spool_dir)
    try:
        dcmwrite(file, whole, enforce_file_format=True)
    except Exception as error:  # pydicom raises nearly everything
        file.close()
        raise InvalidModelOutput(f"a Dataset cannot be encoded ({type(error).__name__})") from error
    return FileElement(file, file.tell(), own=True)
