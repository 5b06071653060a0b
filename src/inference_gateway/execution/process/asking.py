"""How the gateway asks a model that runs elsewhere: a blocking stand-in, used on the model's thread."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from inference_gateway.errors import RequestError
from inference_gateway.execution.check import InferenceResponse
from inference_gateway.execution.current_request import CurrentRequest, Request, current_request
from inference_gateway.execution.process.arena import Borrowed
from inference_gateway.execution.process.frames import Frame, Piece, merged, split
from inference_gateway.execution.process.messages import StudyHandle, unpack
from inference_gateway.execution.process.telling import error_told
from inference_gateway.execution.runner import Study
from inference_gateway.payload.element import IterableElement


class Asking(ABC):
    """One model elsewhere, which may end at any time. `spoilt`: why it should not be called again."""

    def __init__(self) -> None:
        self.calls = 0
        self.spoilt: str | None = None
        self._is_held = False  # it goes on producing an answer
        self._borrowed = Borrowed(self._give_back)

    @abstractmethod
    def _ask(self, asked: Piece) -> Frame:
        """Ask and wait for the answer. Raises `ModelCrashed`."""

    def _give_back(self, place: int) -> None:  # noqa: B027 - where memory is not used again
        """Tell the other side that the memory of a result may be used again. From any thread."""

    def call(self, json_input: Any, inputs: list[Any], input_hash: str, spool: Any) -> InferenceResponse:
        """Call the model and return its checked result. Blocks; call it in the request's context.

        Raises `InvalidModelOutput`, `Refused`, `ModelFailed` with a `RemoteError` as its cause, or
        `ModelCrashed`.
        """
        self.calls += 1
        with call_of(current_request(), json_input, inputs, input_hash, spool) as asked:
            frame = self._ask(asked)
        return self._response(frame)

    def _response(self, frame: Frame) -> InferenceResponse:
        """Return what came of a call. Raises as `call` does."""
        try:
            self._raise(frame)
            response = unpack(frame, self._borrowed, self._coming)
            self._is_held = response.needs_model
            return response
        finally:
            frame.close()

    def call_together(self, calls: Sequence[tuple[Request, Study]]) -> Iterator[Any]:
        """Call the model with several requests; give, for each, its checked result or its error.

        Blocks; call it in the batch's context. Raises as `call` does, where the call fails as a whole.
        """
        self.calls += 1
        batch, pieces = current_request(), []
        head = {
            "kind": "batch",
            "request_id": batch.request_id,
            "key": batch.key,
            "trace": batch.trace,
            "remaining": batch.remaining(),
        }
        with ExitStack() as handles:
            for request, study in calls:
                spool: Any = study.spool
                handle = StudyHandle.of(study.inputs, spool)
                handles.callback(handle.close)
                told = _about(request, study.json_input, study.input_hash)
                pieces.append(Piece(handle.head | told, handle.payload, handle.descriptors))
            frame = self._ask(merged(head, pieces))
        left = len(calls)
        while True:
            self._raise(frame)
            outcomes = split(frame)
            yield from map(self._outcome, outcomes)
            left -= len(outcomes)
            if not left:
                return
            frame = self._ask(Piece({"kind": "outcomes"}))

    def _outcome(self, frame: Frame) -> Any:
        try:
            self._raise(frame)
            return unpack(frame, self._borrowed, self._coming)
        except RequestError as error:
            return error
        finally:
            frame.close()

    def _raise(self, frame: Frame) -> None:
        kind = frame.head.get("error")
        if kind in ("device memory", "device error"):
            self.spoilt = kind
        if kind is not None:
            raise error_told(frame.head)

    def _coming(self, index: int, size: int | None) -> IterableElement:
        return IterableElement(self._blocks(index), size)

    def _blocks(self, index: int) -> Iterator[memoryview]:
        while True:
            frame = self._ask(Piece({"kind": "next", "element": index}))
            self._raise(frame)
            if frame.head["end"]:
                return
            yield frame.payload


@contextmanager
def call_of(
    request: CurrentRequest, json_input: Any, inputs: list[Any], input_hash: str, spool: Any
) -> Iterator[Piece]:
    """Give the call of a model as it is asked; what crosses by descriptor is open until the end."""
    handle = StudyHandle.of(inputs, spool)
    try:
        head = handle.head | _about(request, json_input, input_hash) | {"kind": "call"}
        yield Piece(head, handle.payload, handle.descriptors)
    finally:
        handle.close()


def _about(request: CurrentRequest, json_input: Any, input_hash: str) -> dict[str, Any]:
    """Return what the head of a frame says of a request."""
    return {
        "request_id": request.request_id,
        "key": request.key,
        "trace": request.trace,
        "remaining": request.remaining(),
        "cancelled": request.cancelled,
        "input_hash": input_hash,
        "json": json.dumps(json_input),
    }
