"""What a caller gives → parts to be sent, each of a size that is known and readable from its start again.

Nothing is read into memory here. What can be read only once is copied to a spool; so is a data set, encoded.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from inference_gateway.caller.folders import LeftOut, files_below
from inference_gateway.errors import InvalidModelOutput
from inference_gateway.payload.element import Element, FileElement, IterableElement, element_of
from inference_gateway.payload.part import Part
from inference_gateway.payload.spool import Spool

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset
    from typing_extensions import Buffer

    Data: TypeAlias = str | os.PathLike[str] | Buffer | NDArray[Any] | IO[bytes] | Dataset
    Input: TypeAlias = Data | tuple[str, str | None, Data]
else:
    Input = Any  # pydicom is loaded only by who uses it

_BINARY = "application/octet-stream"
_DICOM = "application/dicom"


@dataclass(frozen=True, slots=True)
class InputPart:
    """One part: its media type, the filename that it is given, and its `size` in bytes."""

    content_type: str
    filename: str | None
    element: Element
    size: int


def input_parts(inputs: Iterable[Input], spool: Spool) -> list[InputPart]:
    """Return the parts of a request, in order; a folder gives one for each file in it. Blocks.

    `spool`: takes what cannot be read again. Raises `TypeError` for what is no input, `ValueError` for a
    folder without files and for what cannot be encoded, and `OSError`.
    """
    if isinstance(inputs, str | os.PathLike) or hasattr(inputs, "read") or _is_buffer(inputs):
        raise TypeError(f"the inputs are a {type(inputs).__name__}: give a list, even of one")
    return [part for index, each in enumerate(inputs) for part in _parts_of(index, each, spool)]


def _parts_of(index: int, given: Any, spool: Spool) -> Iterator[InputPart]:
    filename, content_type, data = None, None, given
    if isinstance(given, tuple):
        if len(given) != 3 or not isinstance(given[0], str) or not isinstance(given[1], str | None):
            raise TypeError(f"input {index} is a tuple, but not (name, content type, data)")
        filename, content_type, data = given
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        if path.is_dir():
            if filename is not None:
                raise TypeError(f"input {index} is a folder: it cannot have one name for all its files")
            for file in files_in(path):
                yield _part(index, file, None, None, spool)
            return
        data = path
    yield _part(index, data, filename, content_type, spool)


def files_in(folder: Path) -> list[Path]:
    """Return the files below a folder, at any depth, in order of their paths, without hidden ones.

    Raises `ValueError` where there is none, or where a link leads out of the folder; `OSError` where a folder
    cannot be read.
    """
    left = LeftOut()
    files = sorted(files_below(folder, left, taken=_is_shown, unreadable=_raise))
    if left.links:
        raise ValueError(
            f"{folder} has links that lead out of it ({left.links}): give what they lead to itself"
        )
    if not files:
        raise ValueError(f"there is no file in {folder}")
    return files


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".")


def _raise(error: OSError) -> None:
    raise error


def _part(index: int, data: Any, filename: str | None, content_type: str | None, spool: Spool) -> InputPart:
    try:
        element = element_of(data, Path(tempfile.gettempdir()))
    except InvalidModelOutput as error:  # the same encoding as of what a model returns
        raise ValueError(f"input {index}: {error.reason}") from error
    if element is None or isinstance(element, IterableElement):
        raise TypeError(f"input {index}: {_why_not(data)}")
    encoded = isinstance(element, FileElement) and element.own
    if encoded or element.size is None:
        element = _kept(element, spool)
    assert element.size is not None
    return InputPart(content_type or (_DICOM if encoded else _BINARY), filename, element, element.size)


def _why_not(data: Any) -> str:
    if isinstance(data, Path):
        return f"{data} is not a file that can be read"
    if hasattr(data, "read"):
        return "the file is closed, or is not open for reading bytes: open it with mode 'rb'"
    return (
        f"a {type(data).__name__} cannot be sent: give a path, a folder, an open binary file, bytes, "
        "an array, a pydicom Dataset, or (name, content type, one of these)"
    )


def _kept(element: Element, spool: Spool) -> FileElement:
    """Its bytes at the end of the spool."""
    start = spool.size
    for block in element.blocks():
        spool.append(bytes(block))
    if isinstance(element, FileElement) and element.own:
        element.file.close()
    size = spool.size - start
    return FileElement(Part(spool, start, start, spool.size), size)


def _is_buffer(value: Any) -> bool:
    try:
        memoryview(value)
    except TypeError:
        return False
    return True
