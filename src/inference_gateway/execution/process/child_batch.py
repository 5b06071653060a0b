"""A batch in a model process: its requests come one by one, and so do their outcomes go."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from inference_gateway.execution.batch import call_together
from inference_gateway.execution.current_request import Request
from inference_gateway.execution.process.arena import Arena
from inference_gateway.execution.process.frames import Frame
from inference_gateway.execution.process.messages import Packed, open_study
from inference_gateway.payload.spool import Spool


class Batch:
    """The requests of one call, until the last outcome has gone."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._held: list[tuple[Spool, Arena]] = []  # of each request
        self._outcomes: list[Any] = []

    def add(self, frame: Frame, request: Request) -> None:
        """Fill in `request` with the study that came in `frame`."""
        head = frame.head
        spool, request.inputs = open_study(frame)
        arena = Arena()
        self._held.append((spool, arena))
        request.allocate = arena.empty
        request.json_input, request.input_hash = json.loads(head["json"]), head["input_hash"]
        request.cancelled = request.cancelled or head["cancelled"]
        self.requests.append(request)

    def call(self, model: Callable[[list[Request]], Any], check: Callable[[Any], Any]) -> None:
        """Call the model with all of them. Raises what fails the call as a whole; the batch is over then."""
        try:
            self._outcomes = call_together(model, check, self.requests)
        except BaseException:
            self.close()
            raise

    def outcome(self, index: int) -> Packed:
        """Return one request's checked result, to be sent. Raises its error, where it has one."""
        outcome, (_, arena) = self._outcomes[index], self._held[index]
        if isinstance(outcome, Exception):
            raise outcome
        return Packed(outcome, arena)

    def sent(self, index: int) -> None:
        """The outcome has gone; with the last one the batch is over."""
        if index + 1 == len(self._outcomes):
            self.close()

    def close(self) -> None:
        """Let go of everything."""
        for outcome in self._outcomes:
            if not isinstance(outcome, Exception):
                outcome.close()
        for spool, arena in self._held:
            arena.close()
            spool.release()
        self.requests, self._held, self._outcomes = [], [], []
