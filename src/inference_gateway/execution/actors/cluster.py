"""This process's connection to a Ray cluster: made once, and watched, since a driver dies with its raylet."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from inference_gateway.errors import SetupFailed
from inference_gateway.execution.actors.actor import PIECE, file_at

NAMESPACE = "inference-gateway"
ROOM = 3 * PIECE  # bytes of the object store that one file on its way needs

_HEAD_SECONDS = 20.0  # without the head; Ray ends this process after sixty
_KEPT = 1000  # lives of actors that are remembered
_PATIENCE = 2.0  # seconds for a connection
_SPILLING = (
    "the Ray cluster spills objects to disk, where a study would lie in a file with a name: start its head "
    """with --system-config='{"automatic_object_spilling_enabled": false}'"""
)

_connecting = threading.Lock()  # several routes at once


class ClusterConnection:
    """A driver's connection. `lost`: why it is gone for good, None while it is there."""

    def __init__(self, address: str | None, *, may_spill: bool) -> None:
        """Connect; blocks. Raises `SetupFailed` where there is no cluster, or one that spills."""
        with _connecting:
            if not ray.is_initialized():
                _connect(address or os.environ.get("RAY_ADDRESS") or "auto")
        self.lost: str | None = None
        self.spills = spills()
        if self.spills and not may_spill:
            raise SetupFailed(_SPILLING)
        context = ray.get_runtime_context()
        self.node: str = context.get_node_id()
        host, _, port = context.gcs_address.rpartition(":")
        self._head = host, int(port)
        raylet = ray._private.worker._global_node.raylet_socket_name  # noqa: SLF001 - Ray tells it nowhere else
        self._raylet = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # says nothing: hears of its end
        self._raylet.settimeout(_PATIENCE)
        try:
            self._raylet.connect(raylet)
        except OSError as error:
            raise SetupFailed("the Ray node of this gateway does not answer") from error
        self._raylet.setblocking(False)
        self._head_gone: float | None = None  # since when, by time.monotonic()
        self._seen: dict[str, int | None] = {}  # by the life of an actor: its process, where it is seen
        self._lock = threading.Lock()

    def near_the_head(self) -> NodeAffinitySchedulingStrategy | None:
        """Return where an actor lives as long as the cluster does."""
        for node in ray.nodes():
            if node["Alive"] and "node:__internal_head__" in node["Resources"]:
                return NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)
        return None

    def check(self) -> str | None:
        """Look whether raylet and head are there; return why the connection is lost. Blocks for moments."""
        if self.lost is None:
            if self._raylet_is_gone():
                self.lost = (
                    "the Ray node of this gateway has ended (its raylet is gone), and so does the gateway"
                )
            elif _listens(self._head):
                self._head_gone = None
            elif self._head_gone is None:
                self._head_gone = time.monotonic()
            elif time.monotonic() - self._head_gone > _HEAD_SECONDS:
                self.lost = "the head of the Ray cluster does not answer any more: the gateway ends"
        return self.lost

    def close(self) -> None:
        """Watch no more. Ray itself stays connected: other routes may use it."""
        self._raylet.close()

    def _raylet_is_gone(self) -> bool:
        try:
            return not self._raylet.recv(1)
        except BlockingIOError:
            return False
        except OSError:
            return True

    @property
    def store_bytes(self) -> float:
        """Bytes that this node's object store can hold."""
        for node in ray.nodes():
            if node["NodeID"] == self.node:
                return float(node["Resources"].get("object_store_memory", 0.0))
        return 0.0

    @property
    def head_is_gone(self) -> bool:
        """Whether the head did not answer when it was looked for last."""
        return self._head_gone is not None

    def has_room(self) -> bool:
        """Whether the object store of this node has room for one more file on its way. Blocks for moments."""
        resources = ray._private.state.available_resources_per_node()  # noqa: SLF001 - Ray tells it nowhere else
        room: float = resources.get(self.node, {}).get("object_store_memory", 0.0)
        return room >= 2 * ROOM

    def process_of(self, actor: Any, born: str) -> int | None:
        """Return an actor's process, where it and this one see each other's descriptors, else None.

        Blocks, once for each life of an actor. Raises what a call of an actor raises.
        """
        with self._lock:
            if born not in self._seen:
                self._seen[born] = _look(actor)
                while len(self._seen) > _KEPT:
                    del self._seen[next(iter(self._seen))]
            return self._seen[born]


def _connect(address: str) -> None:
    host, _, port = address.rpartition(":")
    is_there = not (host and port.isdigit()) or _listens((host, int(port)))
    try:
        if not is_there:  # Ray would look for a minute
            raise ConnectionError(f"nobody listens at {address}")
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    except Exception as error:  # of Ray's: anything
        raise SetupFailed(
            "no Ray cluster can be reached: a gateway runs on a machine that is one of its nodes (ray start)"
        ) from error


def _look(actor: Any) -> int | None:
    probe = os.memfd_create("probe", os.MFD_CLOEXEC)
    try:
        pid, number, file = ray.get(actor.sees.remote(os.getpid(), probe, file_at(os.getpid(), probe)))
        return pid if file_at(pid, number) == tuple(file) else None
    except OSError:  # the actor's own, too: what Ray raises for it is of the same kind
        return None
    finally:
        os.close(probe)


def spills() -> bool:
    """Whether the cluster may write objects to disk."""
    try:
        config = ray._private.state.state.get_system_config()  # noqa: SLF001 - Ray tells it nowhere else
    except (AttributeError, RayError):
        return True
    return bool(config.get("automatic_object_spilling_enabled", True))


def _listens(address: tuple[str, int]) -> bool:
    with suppress(OSError), socket.create_connection(address, _PATIENCE):
        return True
    return False
