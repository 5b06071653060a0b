"""What runs a model: the one thing that the rest of the gateway knows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from inference_gateway.execution.check import Contract
from inference_gateway.execution.line import Load
from inference_gateway.execution.model_info import ModelInfo
from inference_gateway.settings import Settings
from inference_gateway.telemetry.families import Sample
from inference_gateway.telemetry.identity import TraceContext


class Study(Protocol):
    """What a model is called with. `spool` is held for as long as the model may read the inputs."""

    @property
    def json_input(self) -> Any:
        """Return the JSON of the root part."""
        ...

    @property
    def inputs(self) -> list[Any]:
        """Return the files, in the order of the request."""
        ...

    @property
    def input_hash(self) -> str:
        """Return the SHA-256 of the body, in hexadecimal digits."""
        ...

    @property
    def spool(self) -> AbstractContextManager[Any]:
        """Return what keeps the files readable."""
        ...


class Checked(Protocol):
    """A model's checked result. `needs_model`: some of it is still to be made, in the model's turn."""

    @property
    def needs_model(self) -> bool:
        """Whether some of it is still to be made."""
        ...

    def end_iterables(self) -> None:
        """End what is still to be made: in the model's turn, when nobody wants it any more."""
        ...


class ModelSlot(Protocol):
    """One request's turn at a model. `started`: when it began, by `time.monotonic()`; `tags`: for its log."""

    @property
    def started(self) -> float | None:
        """Return when the turn began, None before."""
        ...

    @property
    def tags(self) -> Mapping[str, Any]:
        """Return what the request's log line says of the turn."""
        ...

    async def compute(self, study: Study) -> Any:
        """Call the model and check its result: the `Checked` one. Waits for the turn.

        Raises `ModelError`, `ModelTimeout`, and `Unavailable` where the turn did not come in time.
        """
        ...

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a blocking `function` in the turn: what is still to be made of the result."""
        ...

    def release(self) -> None:
        """End the turn, from the event loop. A call that is going on becomes an orphan."""
        ...


class Runner(Protocol):
    """One route's model, by whatever runs it: its turns and its life cycle. `name`: for the log."""

    @property
    def route(self) -> str:
        """Return the route that it serves."""
        ...

    @property
    def name(self) -> str:
        """Return the model's name, for the log."""
        ...

    @property
    def model_info(self) -> ModelInfo | None:
        """Return what the model says it is, as far as it is known now: for good after its set-up."""
        ...

    def slot(
        self,
        request_id: str,
        on_start: Callable[[], None] | None = None,
        trace: TraceContext | None = None,
    ) -> ModelSlot:
        """Return a turn for one request. `on_start` is called, on any thread, when the turn begins.

        `trace`: its place in a trace.
        """
        ...

    async def set_up(self) -> None:
        """Make the model ready to be called. Raises `SetupFailed`, with the model's exception as cause."""
        ...

    async def tear_down(self) -> None:
        """End the model, when its calls have come back. Raises what the model raises."""
        ...

    def close(self) -> None:
        """End what can be ended of a model that is still busy, and does not wait."""
        ...

    async def lost(self) -> str:
        """Wait until the model is gone for good, after its set-up, and say why, in one sentence."""
        ...

    @property
    def needs_set_up(self) -> bool:
        """Whether `set_up` takes any time: the model is called only after it."""
        ...

    @property
    def readiness(self) -> Load:
        """How busy it is: what is taken, what is orphaned, and for how long nothing has come back."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A `Runner` with metrics of its own."""

    def samples(self) -> Iterable[Sample]:
        """Return what they are now. On the event loop; does not wait."""
        ...


@dataclass(frozen=True)
class Order:
    """What a route asks of a runner. `timeout`: seconds of a call, or None.

    `model_info`: what the route says that the model is; else the model says so.
    """

    route: str
    name: str
    contract: Contract
    settings: Settings
    timeout: float | None
    model_info: ModelInfo | None = None


@runtime_checkable
class OwnRunner(Protocol):
    """A model that is given to a route, and brings what runs it."""

    target: str

    def runner(self, order: Order) -> Any:
        """Return the `Runner`, whose turns take several requests."""
        ...
