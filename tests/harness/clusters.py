"""A Ray cluster of two nodes on this machine, and gateways whose models run on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest

from inference_gateway.integrations.ray import RayModel
from tests.harness.waiting import until

STORE = 200 << 20  # bytes of each node's object store

ON_RAY = {"ray": "near", "ray elsewhere": "far"}
"""Where Ray runs a model: on the gateway's node, or on another."""

PLACES = ["thread", "process", *(pytest.param(place, marks=pytest.mark.ray) for place in ON_RAY)]
"""Where models run."""

Isolation = Literal["thread", "process", "ray", "ray elsewhere"]

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}


class RayCluster:
    """Two nodes: the driver's, whose resource is "near", and another, whose resource is "far"."""

    def __init__(self) -> None:
        os.environ.update(ENVIRONMENT)
        import ray
        from ray.cluster_utils import Cluster

        self.ray: Any = ray
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 8,
                "resources": {"near": 100},
                "object_store_memory": STORE,
                "include_dashboard": False,
            },
        )
        self.far = self.add_far_node()
        os.environ["RAY_ADDRESS"] = self.cluster.address
        ray.init(address=self.cluster.address, namespace="tests", log_to_driver=False)

    def add_far_node(self) -> Any:
        return self.cluster.add_node(num_cpus=8, resources={"far": 100}, object_store_memory=STORE)

    def used(self) -> float:
        """Bytes in the object stores of all living nodes."""
        nodes = [node for node in self.ray.nodes() if node["Alive"]]
        there = sum(node["Resources"].get("object_store_memory", 0) for node in nodes)
        return float(there - self.ray.available_resources().get("object_store_memory", 0))

    def actors(self) -> int:
        """How many models' actors there are."""
        found = self.ray._private.state.actors().values()
        return sum(each["ActorClassName"] == "ModelActor" and each["State"] != "DEAD" for each in found)

    def empties(self) -> None:
        """Nothing of any request is left."""
        until(lambda: self.used() == 0, "an empty object store", 20)

    def close(self) -> None:
        self.ray.shutdown()
        self.cluster.shutdown()
        del os.environ["RAY_ADDRESS"]


def isolated(place: Isolation) -> Literal["thread", "process"]:
    """The setting for models that are to run at `place`."""
    return "process" if place == "process" else "thread"


def placed(place: Isolation, model: Any, **options: Any) -> Any:
    """Return what a route is given for `model`. To what stands for another node no descriptor crosses."""
    if place not in ON_RAY:
        return model
    options = {"num_cpus": 0, "transport": "auto" if place == "ray" else "network"} | options
    return RayModel(model, resources={ON_RAY[place]: 1}, **options)


def needs(place: Isolation, request: pytest.FixtureRequest) -> None:
    """Skip, with the reason, where there is no such place."""
    if place in ON_RAY:
        request.getfixturevalue("cluster")


def why_none() -> str | None:
    """Why there is no cluster for these tests."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return "one cluster serves all tests of Ray: make test-ray"
    try:
        import ray  # noqa: F401
    except ModuleNotFoundError:
        return "Ray is not installed (it has no wheels for Python 3.15 yet): make test-ray"
    return None


@contextmanager
def a_cluster() -> Iterator[RayCluster]:
    reason = why_none()
    if reason is not None:
        pytest.skip(reason)
    cluster = RayCluster()
    try:
        yield cluster
    finally:
        cluster.close()
