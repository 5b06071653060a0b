"""What a model says it is: its name, its version, a digest of its weights."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from inference_gateway.errors import SetupFailed

_IN_A_HEADER = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ModelInfo:
    """What a model is. Give it to a route or a gateway, or let the model have it as its `model_info`.

    `name`, `version`: visible ASCII, at most 200 characters, since they are header fields of each answer.
    `digest`: SHA-256 of the weights, 64 hexadecimal digits; or `weights`: the file or folder of which it is
    made when the model is set up, where the model runs (`weights_digest`). Raises `ValueError` for what does
    not fit.
    """

    name: str
    version: str | None = None
    digest: str | None = None
    weights: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        for what, value in (("name", self.name), ("version", self.version)):
            if value is not None and not _IN_A_HEADER.fullmatch(value):
                raise ValueError(f"a model's {what} is 1 to 200 visible ASCII characters, blanks inside")
        if self.digest is not None and not _DIGEST.fullmatch(self.digest):
            raise ValueError("the digest of a model's weights is 64 lower-case hexadecimal digits (SHA-256)")

    @cached_property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The header fields of an answer that tell of it."""
        fields = (b"x-model-name", self.name), (b"x-model-version", self.version)
        told = (*fields, (b"x-model-digest", self.digest))
        return tuple((field, value.encode()) for field, value in told if value is not None)

    @property
    def needs_reading(self) -> bool:
        """Whether `read` has something to do."""
        return self.digest is None and self.weights is not None

    def read(self) -> ModelInfo:
        """Return the same with the digest of its weights; blocks. Raises `SetupFailed`."""
        if self.digest is not None or self.weights is None:
            return self
        try:
            return replace(self, digest=weights_digest(self.weights))
        except OSError as error:
            raise SetupFailed(f"the weights of {self.name} cannot be read: {error.strerror}") from error

    def told(self) -> dict[str, str | None]:
        """Return it as `of_told` takes it, on another process's side too."""
        weights = None if self.weights is None else os.fspath(self.weights)
        return {"name": self.name, "version": self.version, "digest": self.digest, "weights": weights}

    @classmethod
    def of_told(cls, told: Mapping[str, Any] | None) -> ModelInfo | None:
        """Return what `told` tells of."""
        return None if told is None else cls(**told)


def info_of(model: Any) -> ModelInfo | None:
    """Return the `ModelInfo` that a model has as its `model_info`; something else of that name is its own."""
    info = getattr(model, "model_info", None)
    return info if isinstance(info, ModelInfo) else None


def weights_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, or of a folder's files, in hexadecimal digits; blocks.

    That of a folder is of one line for each file below it, sorted by the bytes of the names: its digest, two
    blanks, its path from the folder, a line feed. So `sha256sum` gives both (docs/models.md). Links are
    followed. Raises `OSError` for what cannot be read.
    """
    place = Path(path)
    if not place.is_dir():
        return _of_file(place)
    found = (Path(folder, name) for folder, _, names in os.walk(place, followlinks=True) for name in names)
    names = sorted(os.fsencode(file.relative_to(place)) for file in found)
    lines = (b"%s  %s\n" % (_of_file(place / os.fsdecode(name)).encode(), name) for name in names)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
