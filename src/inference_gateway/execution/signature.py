"""Whether a callback can be called as models are: asked when it is registered, not at the first request."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from inference_gateway.errors import UnusableModel


def check_signature(model: Callable[..., Any], name: str, *arguments: str) -> None:
    """Raise `UnusableModel` where `model` cannot be called with positional arguments of these names.

    Asked is what is really called: a decorator's own function, not the one that it wraps. Builtins and
    other callables of C that have no signature pass.
    """
    if not callable(model):
        raise UnusableModel(f"{name} is a {type(model).__name__}, which cannot be called")
    try:
        signature = inspect.signature(model, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise UnusableModel(
            f"{name}{signature} cannot be called as {name}({', '.join(arguments)}): {error}"
        ) from None
