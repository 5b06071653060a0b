"""What is said where a module of an extra is missing: which extra brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, needs: str) -> Iterator[None]:
    """Name the extra that brings a module which the block imports in vain.

    `needs`: who needs it, as its user calls it. Raises `ModuleNotFoundError` with the line to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __package__:
            raise
        raise ModuleNotFoundError(
            f"{needs} needs {error.name}: pip install 'dicom-inference-gateway[{name}]'", name=error.name
        ) from error
