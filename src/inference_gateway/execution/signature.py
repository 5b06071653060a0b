"""Whether a callback can be called as models are: asked when it is registered, not at the first request."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from inference_gateway.errors import UnusableModel

_ARGUMENTS = ("json_input", "inputs", "input_hash")
_BATCH_ARGUMENTS = ("requests",)
_STEPS = ("setup", "warm_up", "teardown")


def check_model(model: Any, name: str, *, batches: bool = False) -> None:
    """Raise `UnusableModel` where `model` cannot be called as one, or `setup` and the like with nothing.

    `batches`: it is called with a list of requests.
    """
    check_signature(model, name, *(_BATCH_ARGUMENTS if batches else _ARGUMENTS))
    for step in _STEPS:
        if hasattr(model, step):
            check_signature(getattr(model, step), f"{name}.{step}")


def check_signature(model: Callable[..., Any], name: str, *arguments: str) -> None:
    """Raise `UnusableModel` where `model` cannot be called with positional arguments of these names.

    Asked is what is really called: a decorator's own function, not the one that it wraps. Builtins and
    other callables of C that have no signature pass.
    """
    if not callable(model):
        raise UnusableModel(f"{name} is a {type(model).__name__}, which cannot be called")
    first: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    while isinstance(model, functools.partial):
        first, keywords, model = (*model.args, *first), {**model.keywords, **keywords}, model.func
    called = _called(model)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise UnusableModel(
            f"{name} is a generator function: calling it gives no result. Return what a model returns; an "
            "element of it may be a generator"
        )
    try:
        signature = inspect.signature(called, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*first, *arguments, **keywords)
    except TypeError as error:
        raise UnusableModel(
            f"{name}{signature} cannot be called as {name}({', '.join(arguments)}): {error}"
        ) from None


def _called(model: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function or class that is really called.

    `inspect` by itself takes the first argument away from a static `__call__`, too.
    """
    if inspect.isroutine(model) or inspect.isclass(model):
        return model
    call: Any = inspect.getattr_static(type(model), "__call__")
    called: Callable[..., Any] = call.__get__(model, type(model)) if hasattr(call, "__get__") else call
    return called
