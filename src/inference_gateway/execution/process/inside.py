"""A model where it runs, whatever stands between it and the gateway: it answers one frame after the other.

The model runs on the thread that asks for an answer. A third thread runs an event loop where a callback is
`async def`. What a call holds is let go when its answer has gone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from inference_gateway.execution.call import guarded, run_to_end
from inference_gateway.execution.check import Contract, InferenceResponse, prepare
from inference_gateway.execution.current_request import CurrentRequest, Request
from inference_gateway.execution.model_info import ModelInfo, info_of
from inference_gateway.execution.process.arena import Arena, Arenas
from inference_gateway.execution.process.child_batch import Batch
from inference_gateway.execution.process.child_loop import LazyLoop
from inference_gateway.execution.process.frames import Frame, Piece, merged, split
from inference_gateway.execution.process.messages import Packed, deadline_of, open_study
from inference_gateway.execution.process.telling import told
from inference_gateway.execution.signature import check_model
from inference_gateway.execution.target import load
from inference_gateway.payload.spool import Spool
from inference_gateway.telemetry.context import about
from inference_gateway.telemetry.identity import TraceContext
from inference_gateway.telemetry.tracing import ModelTracing

_FLUSH_SECONDS = 2.0  # for the last spans to be sent
_PIECE = 8 << 20  # bytes of a generator that cross at once

logger = logging.getLogger("inference_gateway")


class Inside:
    """One model in this process. `setup`: what the gateway tells of it. `arenas`: memory for its results.

    `by_name`: a file's path means the same to the gateway.

    Its methods are for one thread; `cancel` is for others.
    """

    def __init__(self, setup: dict[str, Any], arenas: Arenas, *, by_name: bool = True) -> None:
        self._setup = setup
        self._arenas = arenas
        self._by_name = by_name
        self._request: CurrentRequest | None = None
        self._cancelled: deque[str] = deque(maxlen=1000)  # keys of those of which it was said
        self._batch = Batch(by_name=by_name)
        self._held: _Held | None = None  # while the model goes on producing its answer
        self._gone: _Held | None = None  # until the answer has gone
        self._model: Any = None
        self._tracing: ModelTracing | None = None
        self._info = ModelInfo.of_told(setup["model_info"])
        self._pid = os.getpid()
        spool_dir, mode, at_rest = Path(setup["spool_dir"]), setup["validation"], setup["batches"]
        self._contract = Contract(setup["binary_types"], spool_dir, mode, at_rest)

    # The model's life

    def set_up(self) -> Piece:
        """Load the model and set it up; the answer has what it is."""
        reply = self._step(self._set_up)
        reply.head["model_info"] = self._info and self._info.told()
        return reply

    def answer(self, frame: Frame) -> Piece:
        """Do what the gateway asks for; return the answer, which is whole until `sent`."""
        match frame.head["kind"]:
            case "call":
                return self._call(frame)
            case "batch":
                return self._call_batch(frame)
            case "outcomes":
                return self._next_outcomes()
            case "next":
                return self._next_block(frame.head["element"])
            case "release":
                self.release()
                return Piece({"done": "release"})
            case _:
                return self._step(self._tear_down)

    def sent(self) -> None:
        """Let go of what was kept for the answer: it has gone, and nothing of the call is on the stack."""
        if self._gone is not None:
            self._gone.close()
            self._gone = None
        if self._batch.all_gone:
            self._batch.close()
        if self._held is None:
            self._arenas.give_back()

    def release(self) -> None:
        """End what the model still produces."""
        if self._held is not None:
            self._in_context(self._held.request, self._held.close)
            self._held = None

    def cancel(self, key: str) -> None:
        """Nobody waits for the result of the request of this key any more. From any thread."""
        self._cancelled.append(key)
        for request in (self._request, *self._batch.requests):
            if request is not None and request.key == key:
                request.cancelled = True
                if request.task is not None:
                    request.loop.call_soon_threadsafe(request.cancel)

    def _step(self, step: Callable[..., None], *args: Any) -> Piece:
        try:
            step(*args)
        except BaseException as error:
            return Piece(told(error))
        return Piece({"done": "step"})

    def _set_up(self) -> None:
        sys.path[:0] = [entry for entry in self._setup["path"] if entry not in sys.path]
        if self._setup["tracing"] is not None:
            self._tracing = ModelTracing(self._setup["tracing"])
        self._model = load(self._setup["target"])
        check_model(self._model, self._setup["target"], batches=self._setup["batches"])
        for step in ("setup", "warm_up"):
            self._life_cycle(step)
        info = self._info or info_of(self._model)
        self._info = info and info.read()

    def _tear_down(self) -> None:
        try:
            self._life_cycle("teardown")
        finally:
            if self._tracing is not None:
                self._tracing.end(_FLUSH_SECONDS)

    def _life_cycle(self, step: str) -> None:
        function = getattr(self._model, step, None)
        if function is not None:
            self._in_context(self._new_request({"request_id": step, "key": step}), run_to_end, function)

    def _new_request(self, head: Mapping[str, Any], kind: type[Any] = CurrentRequest) -> Any:
        """Make what a callback may know of a request, of what the head of a frame says."""
        trace = head.get("trace")
        return kind(
            head["request_id"],
            self._setup["route"],
            deadline_of(head),
            device=self._setup["device"],
            trace=trace and TraceContext(*trace),
            key=head["key"],
            loop=self._loop,
        )

    def _in_context(self, request: CurrentRequest, function: Any, *args: Any) -> Any:
        self._request = request  # before the look at `_cancelled`: the other thread goes the other way round
        request.cancelled = request.cancelled or request.key in self._cancelled
        with about(request):
            try:
                return function(*args)
            finally:
                self._end_a_fork()
                self._request = None

    @cached_property
    def _loop(self) -> Any:
        """The event loop of `async def` callbacks, on a thread of its own: started when it is needed."""
        return LazyLoop(self._end_a_fork)

    def _end_a_fork(self) -> None:
        """Where the model's code is left: a process that it has forked ends here, and writes no buffers."""
        if os.getpid() != self._pid:
            failed = sys.exc_info()[0] is not None
            logger.warning(
                "a process that the model has forked came out of the model's code: it ends there",
                exc_info=failed,
            )
            os._exit(failed)

    # A call

    def _call(self, frame: Frame) -> Piece:
        head = frame.head
        spool, inputs = open_study(frame)
        held = _Held(spool, self._arenas.take())
        request = self._new_request(head)
        request.allocate = held.arena.empty
        try:
            response = self._in_context(request, self._compute, head, inputs)
            held.response = response
            packed = Packed(response, held.arena, by_name=self._by_name)
            held.blocks = {
                index: _in_pieces(element.blocks())
                for index, (_, element) in enumerate(response.elements)
                if packed.elements[index][0] == "blocks"
            }
            del response
        except BaseException as error:
            held.close()
            return Piece(told(error))
        if packed.is_held:
            self._held = held
            held.request = request
        else:
            self._gone = held
        return Piece(packed.head, packed.payload, packed.descriptors)

    def _compute(self, head: dict[str, Any], inputs: list[Any]) -> InferenceResponse:
        kept = tuple(inputs)  # what the model does with its list is its own business
        result = guarded(self._model, json.loads(head["json"]), inputs, head["input_hash"])
        response: InferenceResponse = guarded(self._check, result, kept)
        return response

    def _check(self, result: Any, inputs: Sequence[Any]) -> InferenceResponse:
        return prepare(result, self._contract, inputs)

    def _next_block(self, index: int) -> Piece:
        held = self._held
        assert held is not None
        try:
            block = self._in_context(held.request, next, held.blocks[index], None)
        except BaseException as error:
            return Piece(told(error))
        if block is None:
            return Piece({"done": "next", "end": True})
        return Piece({"done": "next", "end": False}, [block])

    # A batch

    def _call_batch(self, frame: Frame) -> Piece:
        head = frame.head
        for piece in split(frame):
            request = self._new_request(piece.head, Request)
            self._batch.add(piece, request)  # before the look at `_cancelled`, as above
            request.cancelled = request.cancelled or request.key in self._cancelled
        request = self._new_request(head)
        try:
            self._in_context(request, self._batch.call, self._model, self._check)
        except BaseException as error:
            self._batch.close()
            return Piece(told(error))
        return self._next_outcomes()

    def _next_outcomes(self) -> Piece:
        return merged({"done": "outcomes"}, self._batch.next_outcomes(told))


def _in_pieces(blocks: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Cut blocks that are too large to cross at once."""
    for block in blocks:
        if len(block) <= _PIECE:
            yield block
            continue
        view = memoryview(block).cast("B")
        for begin in range(0, len(view), _PIECE):
            yield view[begin : begin + _PIECE]


class _Held:
    """What is kept of a call until its answer has been sent."""

    request: CurrentRequest
    response: InferenceResponse | None = None

    def __init__(self, spool: Spool, arena: Arena) -> None:
        self.spool = spool
        self.arena = arena
        self.blocks: dict[int, Any] = {}

    def close(self) -> None:
        if self.response is not None:
            with contextlib.suppress(BaseException):  # a generator's own end, of which nobody can be told
                self.response.end_iterables()
            self.response.close()
        self.response = None
        self.blocks.clear()
        self.spool.release()
