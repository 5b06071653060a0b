"""How the gateway asks a model that runs elsewhere: a blocking stand-in, used on the model's thread."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from inference_gateway.errors import InvalidModelOutput, ModelFailed, Refused, RequestError, Unavailable
from inference_gateway.execution.check import InferenceResponse
from inference_gateway.execution.current_request import CurrentRequest, Request, current_request
from inference_gateway.execution.process.arena import Borrowed
from inference_gateway.execution.process.frames import Frame, Piece, merged, split
from inference_gateway.execution.process.messages import StudyHandle, unpack
from inference_gateway.execution.runner import Study
from inference_gateway.payload.element import IterableElement

_RESTART_SECONDS = 10  # for a client to wait while a model is set up again


class RemoteError(Exception):
    """An exception of the model, as the traceback that its process wrote."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"in the model's process:\n{self.text}"


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
        handle = StudyHandle.of(inputs, spool)
        head = handle.head | _about(current_request(), json_input, input_hash)
        try:
            frame = self._ask(Piece(head | {"kind": "call"}, handle.payload, handle.descriptors))
        finally:
            handle.close()
        try:
            self._raise(frame)
            response = unpack(frame, self._borrowed, self._coming)
            self._is_held = any(isinstance(element, IterableElement) for _, element in response.elements)
            return response
        finally:
            frame.close()

    def call_together(self, calls: Sequence[tuple[Request, Study]]) -> Iterator[Any]:
        """Call the model with several requests; give, for each, its checked result or its error.

        Blocks; call it in the batch's context. Raises as `call` does, where the call fails as a whole.
        """
        self.calls += 1
        batch, pieces = current_request(), []
        head = {"kind": "batch", "request_id": batch.request_id, "remaining": batch.remaining()}
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
        if kind == "refused":
            raise Refused(frame.head["detail"], status=frame.head["status"])
        if kind == "invalid":
            raise InvalidModelOutput(frame.head["reason"])
        if kind == "device memory":
            self.spoilt = kind
            raise Unavailable(
                "the memory of the model's device is spent: try again later", retry_after=_RESTART_SECONDS
            ) from RemoteError(frame.head["traceback"])
        if kind == "device error":
            self.spoilt = kind
        if kind is not None:
            raise ModelFailed from RemoteError(frame.head["traceback"])

    def _coming(self, index: int, size: int | None) -> IterableElement:
        return IterableElement(self._blocks(index), size)

    def _blocks(self, index: int) -> Iterator[memoryview]:
        while True:
            frame = self._ask(Piece({"kind": "next", "element": index}))
            self._raise(frame)
            if frame.head["end"]:
                return
            yield frame.payload


def _about(request: CurrentRequest, json_input: Any, input_hash: str) -> dict[str, Any]:
    """Return what the head of a frame says of a request."""
    return {
        "request_id": request.request_id,
        "remaining": request.remaining(),
        "cancelled": request.cancelled,
        "input_hash": input_hash,
        "json": json.dumps(json_input),
    }
