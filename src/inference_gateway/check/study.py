"""What is sent: the DICOM files of a study, or a small made one, as one request."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from inference_gateway.caller.folders import LeftOut, files_below
from inference_gateway.multipart import Encoder

_BLOCK = 1 << 20
_MAGIC_AT, _MAGIC = 128, b"DICM"  # PS3.10 §7.1

# Small enough for any model to be quick, large enough for one to see something.
_SLICES, _ROWS, _COLUMNS = 4, 64, 80


class NoStudy(Exception):
    """There is nothing to send; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Study:
    """Files in the order in which they are sent.

    `ignored`: how many files were not DICOM.
    """

    files: tuple[Path | bytes, ...]
    ignored: int = 0

    @property
    def heads(self) -> list[Callable[[int], bytes]]:
        """Return what gives the first bytes of each file."""
        return [partial(_head_of, each) for each in self.files]


def read_study(path: Path) -> Study:
    """Find the DICOM files at a path: a file, or a folder and those in it.

    Raises `NoStudy` where there is none, and `OSError` where a file cannot be read.
    """
    left = LeftOut()
    candidates = sorted(files_below(path, left)) if path.is_dir() else [path]
    if left.links or left.dangling or left.unreadable:
        raise NoStudy(
            f"{path} has folders that cannot be read, or links that lead out of it: name what to send"
        )
    files = tuple(each for each in candidates if _is_dicom(each))
    if not files:
        raise NoStudy(f"{path} has no DICOM file (PS3.10): name a folder that has some")
    return Study(files, len(candidates) - len(files))


def make_study() -> Study:
    """Make a small CT series. Raises `NoStudy` where pydicom is not installed."""
    try:
        from inference_gateway.demo.phantom import make_phantom
    except ImportError:
        raise NoStudy(
            "without STUDY a sample is made, which needs pydicom: "
            "pip install 'dicom-inference-gateway[dicom]', or name a STUDY"
        ) from None
    files = []
    for dataset in make_phantom(slices=_SLICES, rows=_ROWS, columns=_COLUMNS).datasets():
        file = io.BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        files.append(file.getvalue())
    return Study(tuple(files))


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_MAGIC_AT)
        return file.read(len(_MAGIC)) == _MAGIC


def _head_of(each: Path | bytes, size: int) -> bytes:
    if isinstance(each, bytes):
        return each[:size]
    with each.open("rb") as file:
        return file.read(size)


class Upload:
    """A request for a study, framed as the old test tool did. Its bytes are read from disk as they go out.

    `input_hash` is there when `blocks` has come to its end.
    """

    def __init__(self, asked: Any, study: Study) -> None:
        self.boundary = secrets.token_hex(16)
        encoder = Encoder(self.boundary)
        self._root = json.dumps(asked).encode()
        self._files = study.files
        self._heads = [_head(encoder, "request_json", "text/json")]
        self._heads += [_head(encoder, str(i), "application/dicom") for i in range(1, len(study.files) + 1)]
        self._end, self._finish = encoder.end_part(), encoder.finish()
        self._digest = hashlib.sha256()
        sizes = [each.stat().st_size if isinstance(each, Path) else len(each) for each in study.files]
        self.size = len(self._root) + sum(sizes) + sum(map(len, self._heads)) + len(self._finish)
        self.size += len(self._end) * len(self._heads)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return its Content-Type and Content-Length."""
        content_type = f'multipart/related; boundary="{self.boundary}"'
        return ("Content-Type", content_type), ("Content-Length", str(self.size))

    @property
    def input_hash(self) -> str:
        """Return the SHA-256, in hex, over the bodies of all parts."""
        return self._digest.hexdigest()

    def blocks(self) -> Iterator[bytes]:
        """Yield the body, once."""
        for head, body in zip(self._heads, (self._root, *self._files), strict=True):
            yield head
            for block in _blocks(body):
                self._digest.update(block)
                yield block
            yield self._end
        yield self._finish


def _head(encoder: Encoder, name: str, media_type: str) -> bytes:
    disposition = f'form-data; name="{name}"; filename="{name}"'
    return encoder.begin_part([("Content-Disposition", disposition), ("Content-Type", media_type)])


def _blocks(body: Path | bytes) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    with body.open("rb") as file:
        yield from iter(lambda: file.read(_BLOCK), b"")
