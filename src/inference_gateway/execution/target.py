"""A model by its name, `module:object`, as a fresh process can load it."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

from inference_gateway.errors import UnusableModel


def load(target: str) -> Any:
    """Import what `target` names and return the model: a class is made an instance.

    Raises what the import raises, `AttributeError` where the module has no such object, and `UnusableModel`
    for an application, which has routes of its own.
    """
    module_name, _, attribute = target.partition(":")
    found: Any = importlib.import_module(module_name)
    for name in attribute.split("."):
        found = getattr(found, name)
    starlette = sys.modules.get("starlette.applications")  # a model's process does not load it by itself
    if starlette is not None and isinstance(found, starlette.Starlette):
        raise UnusableModel(
            f"{target} is an application, not a model: its routes choose where their models run, by "
            "add_inference_route(..., isolation=...); serve it with --isolation thread"
        )
    return found() if inspect.isclass(found) else found


def target_of(model: Any) -> str:
    """Return the name under which another process finds `model`, a string already, a function or a class.

    Raises `ValueError` for what has no such name: a lambda, an instance, something made in `__main__`.
    """
    if isinstance(model, str):
        return model
    module, name = getattr(model, "__module__", None), getattr(model, "__qualname__", None)
    if module is None or name is None or module == "__main__" or "<" in name:
        raise ValueError(
            "a model in a process of its own is a function or a class of a module, or its name as "
            f"'module:object'; this is a {type(model).__name__} that another process cannot import"
        )
    return f"{module}:{name}"
