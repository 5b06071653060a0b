"""This process's connection to a Ray cluster: made once, and watched, since a driver dies with its raylet."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from inference_gateway.errors import SetupFailed

NAMESPACE = "inference-gateway"

_HEAD_SECONDS = 20.0  # without the head; Ray ends this process after sixty
_PATIENCE = 2.0  # seconds for a connection

_connecting = threading.Lock()  # several routes at once


class ClusterConnection:
    """A driver's connection. `lost`: why it is gone for good, None while it is there."""

    def __init__(self, address: str | None) -> None:
        """Connect; blocks. Raises `SetupFailed` where there is no cluster."""
        with _connecting:
            if not ray.is_initialized():
                _connect(address or os.environ.get("RAY_ADDRESS") or "auto")
        self.lost: str | None = None
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
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
    def head_is_gone(self) -> bool:
        """Whether the head did not answer when it was looked for last."""
        return self._head_gone is not None


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


def _listens(address: tuple[str, int]) -> bool:
    with suppress(OSError), socket.create_connection(address, _PATIENCE):
        return True
    return False
