"""What runs the model of a route, by where it is to run: on threads, or in processes of its own."""

from __future__ import annotations

import inspect
import os
from typing import Any

from inference_gateway.errors import UnusableModel
from inference_gateway.execution.check import prepare
from inference_gateway.execution.process.host import Recipe
from inference_gateway.execution.process.keeper import SharedKeeper
from inference_gateway.execution.process.runner import ProcessRunner
from inference_gateway.execution.process.turn import Ends
from inference_gateway.execution.runner import Order
from inference_gateway.execution.signature import check_model, check_signature
from inference_gateway.execution.slots import Slots
from inference_gateway.execution.target import target_of
from inference_gateway.execution.thread_runner import ThreadRunner
from inference_gateway.telemetry.tracing import variables


def on_threads(order: Order, model: Any, slots: Slots) -> ThreadRunner:
    """Return what runs it on threads. Raises `UnusableModel` for what cannot be called as a model."""
    if isinstance(model, str):
        raise UnusableModel(f"{model} is a name: give the model itself, or isolation='process'")
    instance: Any = model
    if inspect.isclass(model):
        check_signature(model, order.name)
        instance = model()
    contract = order.contract
    check_model(instance, order.name, batches=contract.at_rest)
    return ThreadRunner(
        order.route,
        instance,
        lambda result, inputs: prepare(result, contract, inputs),
        slots.line,
        name=order.name,
        timeout=order.timeout,
        queue_timeout=order.settings.queue_timeout,
        model_info=order.model_info,
    )


def in_processes(
    order: Order, model: Any, slots: Slots, keeper: SharedKeeper, max_calls: int
) -> ProcessRunner:
    """Return what runs it in processes. Raises `UnusableModel`, and `ValueError` for what has no name."""
    settings, batches = order.settings, order.contract.at_rest
    if inspect.isclass(model):
        check_signature(model, order.name)
    elif callable(model):
        check_model(model, order.name, batches=batches)
    recipe = Recipe(
        target_of(model),
        order.route,
        order.contract,
        memory=settings.model_memory_bytes,
        batches=batches,
        tracing=variables(settings.tracing, os.environ),
        model_info=order.model_info,
    )
    return ProcessRunner(
        recipe,
        slots.line,
        keeper,
        name=order.name,
        devices=slots.devices,
        ends=Ends(settings.cancel_grace or 0.0, settings.kill_abandoned),
        timeout=order.timeout,
        queue_timeout=settings.queue_timeout,
        max_calls=max_calls,
    )
