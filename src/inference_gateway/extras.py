"""Modules that are loaded when they are first asked for, and which extra brings one that is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def on_demand(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose names are loaded when they are first asked for.

    `homes`: the module of each name, from the package on. It raises `AttributeError` for another name.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return load


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
