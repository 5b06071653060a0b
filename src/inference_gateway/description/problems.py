"""The problems that a gateway may answer with (RFC 9457), as the tree of errors has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inference_gateway import errors


@dataclass(frozen=True)
class ProblemKind:
    """One error of the tree.

    `title`: its own, None where that is the status's. `meaning`: when it comes. `detail`: its sentence where
    nothing more is known.
    """

    error: type[errors.RequestError]
    status: int
    type: str
    title: str | None
    meaning: str
    detail: str

    @property
    def says_when(self) -> bool:
        """Whether the answer has `Retry-After`."""
        return issubclass(self.error, errors.Unavailable)


def problem_kinds() -> list[ProblemKind]:
    """Return every kind of problem, by status and in the order of the tree."""
    return sorted((_kind(error) for error in _below(errors.RequestError)), key=lambda kind: kind.status)


def _below(error: type[errors.RequestError]) -> Iterator[type[errors.RequestError]]:
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:  # not what an application makes of them
            yield child
            yield from _below(child)


def _kind(error: type[errors.RequestError]) -> ProblemKind:
    told = " ".join((error.__doc__ or "").split())
    return ProblemKind(
        error=error,
        status=error.status,
        type=error.type,
        title=error.title,
        meaning=re.split(r"[.;] ", told)[0].rstrip("."),
        detail=error.sentence,
    )
