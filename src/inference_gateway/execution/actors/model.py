"""`RayModel`: what a route is given whose model runs in Ray actors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from inference_gateway.errors import UnusableModel
from inference_gateway.execution.process.host import Recipe
from inference_gateway.execution.process.turn import Ends
from inference_gateway.execution.target import target_of
from inference_gateway.extras import extra
from inference_gateway.telemetry.tracing import variables

if TYPE_CHECKING:
    from inference_gateway.execution.actors.runner import RayRunner
    from inference_gateway.execution.runner import Order


class RayModel:
    """A model in Ray actors, on the nodes of a cluster: give it to a route in the place of the model.

    `model`: a function or a class of a module, or its name as "module:object", which the nodes can import;
    this process does not. `actors`: how many, or the least and the most: then it grows while requests wait
    and shrinks when one has been idle for `idle` seconds. `num_gpus`, `num_cpus`, `resources`: of each actor,
    for Ray's scheduler; `runtime_env`, too. `transport`: "auto" shares files with an actor on the gateway's
    machine, and sends their bytes elsewhere; "network" does always. `ports`: the first and the last at which
    an actor may listen for gateways, where a firewall lies between nodes; any by default. `address`: of the
    cluster, else RAY_ADDRESS, else that of this machine's node.

    Gateways that serve the same model, with the same numbers, share the actors. Raises `UnusableModel` for
    numbers that cannot be.

    ```python
    app.add_inference_route("/", RayModel("my_model:Model", actors=(1, 8), num_gpus=1))
    ```
    """

    def __init__(
        self,
        model: Callable[..., Any] | str,
        *,
        actors: int | tuple[int, int] = 1,
        num_gpus: float = 0,
        num_cpus: float = 1,
        resources: Mapping[str, float] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        transport: Literal["auto", "network"] = "auto",
        ports: tuple[int, int] = (0, 0),
        address: str | None = None,
        idle: float = 300.0,
        max_calls: int = 0,
    ) -> None:
        self.target = target_of(model)
        self._least, self._most = (actors, actors) if isinstance(actors, int) else actors
        if not 1 <= self._least <= self._most:
            raise UnusableModel("actors are at least one, and at the most not fewer than at the least")
        if transport not in ("auto", "network"):
            raise UnusableModel('the transport of a RayModel is "auto" or "network"')
        if not 0 <= ports[0] <= ports[1] <= 65535:
            raise UnusableModel("the ports of a RayModel are the first and the last of a range")
        self._options: dict[str, Any] = {"num_gpus": num_gpus, "num_cpus": num_cpus}
        if resources:
            self._options["resources"] = dict(resources)
        if runtime_env:
            self._options["runtime_env"] = dict(runtime_env)
        self._by_network = transport == "network"
        self._ports = ports
        self._address = address
        self._idle = idle
        self._max_calls = max_calls

    def runner(self, order: Order) -> RayRunner:
        """Return what runs it for a route. Raises `ModuleNotFoundError` where Ray is not installed."""
        with extra("ray", "RayModel"):
            from inference_gateway.execution.actors.pool import Plan
            from inference_gateway.execution.actors.runner import RayRunner
        recipe = Recipe(
            self.target,
            order.route,
            order.contract,
            memory=order.settings.model_memory_bytes,
            batches=order.contract.at_rest,
            tracing=variables(order.settings.tracing, os.environ),
            model_info=order.model_info,
        )
        plan = Plan(self._least, self._most, self._options, self._idle, self._max_calls, self._ports)
        told = recipe.told()
        told = {name: told[name] for name in _OF_THE_POOL}
        shared = json.dumps([told, vars(plan)], sort_keys=True, default=str)
        return RayRunner(
            recipe,
            plan,
            f"{order.route} {self.target} {hashlib.sha256(shared.encode()).hexdigest()[:16]}",
            name=order.name,
            address=self._address,
            ends=Ends(order.settings.cancel_grace or 0.0, order.settings.kill_abandoned),
            timeout=order.timeout,
            queue_timeout=order.settings.queue_timeout,
            by_network=self._by_network,
        )


_OF_THE_POOL = ("target", "route", "binary_types", "validation", "memory", "batches", "model_info")
"""What of a model must be the same for gateways to share its actors; the rest is that of the first."""
