"""The application of what `serve` is told to serve."""

from __future__ import annotations

import inspect
from typing import Any

import click
from starlette.applications import Starlette

from inference_gateway.app.gateway import Gateway
from inference_gateway.errors import UnusableModel
from inference_gateway.execution.actors.model import RayModel
from inference_gateway.execution.slots import Slots
from inference_gateway.serving.target import named, not_made, resolve
from inference_gateway.settings import Settings


def in_processes(target: str, route: str, settings: Settings, devices: list[str], **batches: Any) -> Any:
    """Return the gateway of a model that this process does not import. Raises as `application` does."""
    module, name = named(target)
    model: Any = _demo_model(name) if module == "demo" else target
    gateway = Gateway(settings=settings)
    slots = Slots(devices=devices) if devices else None
    gateway.add_inference_route(route, model, name=target, isolation="process", slots=slots, **batches)
    return gateway


def on_ray(
    target: str, route: str, settings: Settings, actors: tuple[int, int], num_gpus: float, **batches: Any
) -> Any:
    """Return the gateway of a model in Ray actors. Raises as `application` does."""
    module, name = named(target)
    model: Any = _demo_model(name) if module == "demo" else target
    gateway = Gateway(settings=settings)
    try:
        on_actors = RayModel(model, actors=actors, num_gpus=num_gpus)
        gateway.add_inference_route(route, on_actors, name=target, **batches)
    except ModuleNotFoundError as error:  # Ray itself
        raise click.UsageError(str(error)) from None
    return gateway


def application(target: str, route: str, settings: Settings, devices: list[str], **batches: Any) -> Any:
    """Return the target itself where it is an application, else the gateway of a model on threads.

    Raises `UnusableModel` for a model that cannot be called as one, and `click.ClickException` for a target
    that is nothing to serve.
    """
    module, _, name = target.partition(":")
    found = _demo_model(name) if module == "demo" and name else resolve(target)
    if isinstance(found, Starlette) or _is_asgi(found):
        return found
    no_model = inspect.isclass(found) and not any("__call__" in base.__dict__ for base in found.__mro__)
    if no_model or not callable(found):
        raise click.UsageError(f"{target} is a {type(found).__name__}: name a callback, a class or a Gateway")
    gateway = Gateway(settings=settings)
    slots = Slots(devices=devices) if devices else None
    try:
        gateway.add_inference_route(route, found, name=target, isolation="thread", slots=slots, **batches)
    except UnusableModel:
        raise
    except Exception as error:
        raise not_made(target, error) from None
    return gateway


def _is_asgi(found: Any) -> bool:
    call = found if inspect.isroutine(found) else getattr(type(found), "__call__", None)  # noqa: B004 - asked for its signature
    try:
        names = [name for name in inspect.signature(call or found).parameters if name != "self"]
    except (TypeError, ValueError):
        return False
    return names == ["scope", "receive", "send"]


def _demo_model(name: str) -> Any:
    try:
        from inference_gateway.demo.models import get_model
    except ImportError as error:
        raise click.UsageError(
            f"the demo models need {error.name}: pip install 'dicom-inference-gateway[demo]'"
        ) from None
    try:
        return get_model(name)
    except LookupError as error:
        raise click.UsageError(str(error.args[0])) from None
