"""A model on threads of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from inference_gateway.errors import SetupFailed
from inference_gateway.execution.batch import call_together
from inference_gateway.execution.call import guarded, run_to_end
from inference_gateway.execution.current_request import CurrentRequest, Request
from inference_gateway.execution.line import Line, Load
from inference_gateway.execution.model_info import ModelInfo, info_of
from inference_gateway.execution.runner import Checked, Study
from inference_gateway.execution.slot import Slot
from inference_gateway.telemetry.identity import TraceContext


class ThreadRunner:
    """One route's model on threads of this process: a `Runner`.

    `model`: a blocking callable, an `async def` one, or an instance with `__call__`; `setup()`, `warm_up()`
    and `teardown()` are called where it has them, once each, on a model thread. `check` makes of what the
    model returns, and of the request's inputs, what `compute` gives, on the model's thread too. `line`: whose
    threads they are. `timeout`, `queue_timeout`: seconds or None. `model_info`: what the model is, where it
    does not say so itself.
    """

    def __init__(
        self,
        route: str,
        model: Callable[..., Any],
        check: Callable[[Any, Sequence[Any]], Checked],
        line: Line,
        *,
        name: str,
        timeout: float | None,
        queue_timeout: float | None,
        model_info: ModelInfo | None = None,
    ) -> None:
        self.route = route
        self.name = name
        self.line = line
        line.share()
        self.model_info = model_info or info_of(model)
        self._given_info = model_info
        self._model = model
        self._check = check
        self._timeout = timeout
        self._queue_timeout = queue_timeout

    @property
    def readiness(self) -> Load:
        """How busy its threads are."""
        return self.line.load

    @property
    def needs_set_up(self) -> bool:
        """Whether the model has a `setup` or a `warm_up`, or weights that are to be read."""
        reads = self.model_info is not None and self.model_info.needs_reading
        return reads or hasattr(self._model, "setup") or hasattr(self._model, "warm_up")

    async def set_up(self) -> None:
        """Run `setup` and `warm_up`, and read the weights. Raises `SetupFailed` with what was raised."""
        for step in ("setup", "warm_up"):
            try:
                await self._life_cycle(step)
            except Exception as error:
                raise SetupFailed(f"{step} of model {self.name} failed") from error
        info = self._given_info or info_of(self._model)
        self.model_info = info and await asyncio.to_thread(info.read)

    async def tear_down(self) -> None:
        """Run `teardown` when a thread of the model is free, and end the threads."""
        try:
            await self._life_cycle("teardown")
        finally:
            self.line.close()

    def close(self) -> None:
        """Do nothing: a thread cannot be ended."""

    async def lost(self) -> str:
        """Wait for ever: threads stay."""
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never

    async def _life_cycle(self, step: str) -> None:
        function = getattr(self._model, step, None)
        if function is not None:
            slot = Slot(self.line, CurrentRequest(step, self.route))
            try:
                await slot.call(run_to_end, function)
            finally:
                slot.release()

    def slot(
        self,
        request_id: str,
        on_start: Callable[[], None] | None = None,
        trace: TraceContext | None = None,
    ) -> ThreadSlot:
        """Return a turn for one request. `on_start` is called on the model's thread when the turn begins."""
        return ThreadSlot(
            self.line,
            CurrentRequest(request_id, self.route, trace=trace),
            self._model,
            self._check,
            self._queue_timeout,
            self._timeout,
            on_start,
        )


class ThreadSlot(Slot):
    """A turn on a thread that calls the model itself."""

    def __init__(
        self,
        line: Line,
        request: CurrentRequest,
        model: Callable[..., Any],
        check: Callable[[Any, Sequence[Any]], Checked],
        queue_timeout: float | None,
        timeout: float | None,
        on_start: Callable[[], None] | None,
    ) -> None:
        super().__init__(line, request, queue_timeout, timeout, on_start)
        self._model = model
        self._check_result = check

    def together(self, calls: Sequence[tuple[Request, Study]]) -> list[Any]:
        """Call the model with several requests, on the thread; return the outcome of each."""
        return call_together(self._model, self._check_result, [request for request, _ in calls])

    def tell_cancelled(self, request: Request) -> None:
        """Let the model have the very same `request`."""

    async def compute(self, study: Study) -> Any:
        """Call the model and check its result."""
        return await self.call(self._compute, study)

    def _compute(self, study: Study) -> Checked:
        """On the thread. Ends the turn, so that the model is free for the next, unless more is to come."""
        more_to_come = False
        try:
            with study.spool:
                inputs = tuple(study.inputs)  # what the model does with its list is its own business
                result = guarded(self._model, study.json_input, study.inputs, study.input_hash)
                checked: Checked = guarded(self._check_result, result, inputs)
            more_to_come = checked.needs_model
            if more_to_come:
                self.on_release(checked.end_iterables)
            return checked
        finally:
            if not more_to_come:
                self.release()
