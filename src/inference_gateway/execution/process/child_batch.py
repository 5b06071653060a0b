"""A batch in a model process: what came for each request, and what goes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from inference_gateway.execution.batch import call_together
from inference_gateway.execution.current_request import Request
from inference_gateway.execution.process.arena import Arena
from inference_gateway.execution.process.frames import MAX_DESCRIPTORS, Frame, Piece
from inference_gateway.execution.process.messages import Packed, open_study
from inference_gateway.payload.spool import Spool


class Batch:
    """The requests of one call, until the last outcome has gone. `by_name`: as of `Packed`."""

    def __init__(self, *, by_name: bool) -> None:
        self._by_name = by_name
        self.requests: list[Request] = []
        self._held: list[tuple[Spool, Arena]] = []  # of each request
        self._outcomes: list[Any] = []
        self._gone = 0  # how many of them
        self._next: Piece | None = None  # one that did not fit any more

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

    def call(self, model: Callable[[list[Request]], Any], check: Callable[[Any, Sequence[Any]], Any]) -> None:
        """Call the model with all of them. Raises what fails the call as a whole."""
        self._outcomes = call_together(model, check, self.requests)

    def next_outcomes(self, told: Callable[[BaseException], dict[str, Any]]) -> list[Piece]:
        """Return as many of the outcomes that have not gone as fit into a frame. `told`: of an error."""
        pieces: list[Piece] = []
        descriptors = 0
        while self._gone < len(self._outcomes):
            piece = self._next or self._packed(self._gone, told)
            descriptors += len(piece.descriptors)
            if descriptors > MAX_DESCRIPTORS:  # never the first: none has more
                self._next = piece
                break
            self._next = None
            pieces.append(piece)
            self._gone += 1
        return pieces

    def _packed(self, index: int, told: Callable[[BaseException], dict[str, Any]]) -> Piece:
        outcome, (_, arena) = self._outcomes[index], self._held[index]
        try:
            if isinstance(outcome, Exception):
                raise outcome
            packed = Packed(outcome, arena, by_name=self._by_name)
        except BaseException as error:
            return Piece(told(error))
        return Piece(packed.head, packed.payload, packed.descriptors)

    @property
    def all_gone(self) -> bool:
        """Whether every outcome has gone."""
        return self._gone == len(self._outcomes)

    def close(self) -> None:
        """Let go of everything."""
        for outcome in self._outcomes:
            if not isinstance(outcome, Exception):
                outcome.close()
        for spool, arena in self._held:
            arena.close()
            spool.release()
        self.requests, self._held, self._outcomes, self._gone = [], [], [], 0
