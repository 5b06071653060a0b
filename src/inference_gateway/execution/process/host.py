"""The gateway's side of one model process: a blocking stand-in for the model, used on the model's thread."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, TimeoutError
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from inference_gateway.errors import (
    InvalidModelOutput,
    ModelCrashed,
    ModelFailed,
    Refused,
    RequestError,
    SetupFailed,
    Unavailable,
)
from inference_gateway.execution.check import Contract, InferenceResponse
from inference_gateway.execution.current_request import CurrentRequest, Request, current_request
from inference_gateway.execution.process.arena import Borrowed
from inference_gateway.execution.process.child import STACKS
from inference_gateway.execution.process.frames import (
    DescriptorsLost,
    Frame,
    PeerGone,
    Piece,
    receive,
    send,
    send_pieces,
    split,
)
from inference_gateway.execution.process.keeper import SharedKeeper
from inference_gateway.execution.process.log_lines import levels, write
from inference_gateway.execution.process.messages import StudyHandle, device_inside, environment_of, unpack
from inference_gateway.execution.process.telling import in_words
from inference_gateway.execution.runner import Study
from inference_gateway.payload.element import IterableElement

_RESTART_SECONDS = 10  # for a client to wait while a model is set up again
_TERM_SECONDS = 1.0  # between SIGTERM and SIGKILL
_CHILD = [sys.executable, "-m", "inference_gateway.execution.process.child"]


class RemoteError(Exception):
    """An exception of the model, as the traceback that its process wrote."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"in the model's process:\n{self.text}"


@dataclass(frozen=True)
class Recipe:
    """What a model process is made from.

    `target`: `module:object`; `device`: such as `cuda:1`, or None. `memory`: bytes of data that it may
    have, 0 for no limit. `batches`: it takes several requests.
    """

    target: str
    route: str
    contract: Contract
    device: str | None = None
    memory: int = 0
    batches: bool = False
    path: list[str] = field(default_factory=lambda: [os.getcwd(), *sys.path])


class ModelProcess:
    """One process with one model. `start` it, `call` it, `end` it; it may end by itself at any time."""

    def __init__(self, keeper: SharedKeeper, recipe: Recipe) -> None:
        self._shared = keeper
        self._recipe = recipe
        self.pid: int | None = None
        self.calls = 0
        self._asked = 0  # the number of what was asked last, which its answer has
        self.spoilt: str | None = None  # why it should not be called again
        self._end: Future[int | None] = Future()
        self._is_held = False
        self._borrowed = Borrowed(self._give_back)
        self._statm = -1  # of its memory, in /proc
        self._closing = threading.Lock()

    def start(self) -> None:
        """Start the process and set the model up in it; as long as that takes. Raises `SetupFailed`."""
        self._work, work = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        recipe = self._recipe
        with work, control:
            environment = environment_of(recipe.device, os.environ)
            try:
                self._keeper = self._shared.get()
                self.pid, self._end = self._keeper.start(
                    _CHILD, environment, (work.fileno(), control.fileno())
                )
            except OSError as error:
                self._work.close()
                self._control.close()
                raise SetupFailed("no process could be started for the model") from error
        with suppress(OSError):  # it has ended already
            self._statm = os.open(f"/proc/{self.pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._keeper.watch(self._control, partial(write, route=recipe.route))
        try:
            frame = self._ask(
                {
                    "target": recipe.target,
                    "route": recipe.route,
                    "device": device_inside(recipe.device),
                    "binary_types": dict(recipe.contract.binary_types),
                    "spool_dir": str(recipe.contract.spool_dir),
                    "validation": recipe.contract.mode,
                    "log_levels": levels(),
                    "memory": recipe.memory,
                    "batches": recipe.batches,
                    "path": recipe.path,
                }
            )
        except ModelCrashed as error:
            self.end(0.0)
            raise SetupFailed(f"the model's process ended while it was set up: {error.reason}") from None
        if "error" in frame.head:
            self.end(0.0)
            raise SetupFailed("the model could not be set up") from RemoteError(frame.head["traceback"])

    def call(self, json_input: Any, inputs: list[Any], input_hash: str, spool: Any) -> InferenceResponse:
        """Call the model and return its checked result. Blocks; call it in the request's context.

        Raises `InvalidModelOutput`, `Refused`, `ModelFailed` with a `RemoteError` as its cause, or
        `ModelCrashed`.
        """
        self.calls += 1
        handle = StudyHandle.of(inputs, spool)
        head = handle.head | _about(current_request(), json_input, input_hash)
        try:
            frame = self._ask(head | {"kind": "call"}, handle.payload, handle.descriptors)
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
        head = {"kind": "batch", "request_id": batch.request_id, "deadline": batch.deadline}
        with ExitStack() as handles:
            for request, study in calls:
                spool: Any = study.spool
                handle = StudyHandle.of(study.inputs, spool)
                handles.callback(handle.close)
                told = _about(request, study.json_input, study.input_hash)
                pieces.append(Piece(handle.head | told, handle.payload, handle.descriptors))
            frame = self._ask(head, pieces=pieces)
        left = len(calls)
        while True:
            self._raise(frame)
            outcomes = split(frame)
            yield from map(self._outcome, outcomes)
            left -= len(outcomes)
            if not left:
                return
            frame = self._ask({"kind": "outcomes"})

    def _outcome(self, frame: Frame) -> Any:
        try:
            self._raise(frame)
            return unpack(frame, self._borrowed, self._coming)
        except RequestError as error:
            return error
        finally:
            frame.close()

    def release(self, seconds: float | None = None) -> None:
        """Have the process let go of what it keeps of the call. On the model's thread.

        A generator's own end that takes longer than `seconds` spoils the process.
        """
        if self._is_held:
            self._is_held = False
            with suppress(ModelCrashed, OSError):
                self._work.settimeout(seconds)
                self._ask({"kind": "release"})
                self._work.settimeout(None)

    def tear_down(self, seconds: float) -> None:
        """Have the model torn down, and end the process; it gets `seconds` for that.

        Raises `TimeoutError`, `ModelCrashed`, and `RemoteError` where the model's `teardown` raises.
        """
        try:
            self._work.settimeout(seconds)
            self._raise(self._ask({"kind": "teardown"}))
        except ModelFailed as failed:
            raise failed.__cause__ or failed from None
        finally:
            self.end(_TERM_SECONDS)

    def cancel(self, request_id: str) -> None:
        """Tell the model that nobody waits for the result of this request. From any thread; does not wait."""
        with suppress(OSError):
            self._control.send(json.dumps({"cancel": request_id}).encode())

    def _give_back(self, place: int) -> None:
        """Tell the process that the memory of a result may be used again. From any thread; does not wait."""
        with suppress(OSError):
            self._control.send(json.dumps({"returned": place}).encode())

    def end(self, grace: float) -> None:
        """End the process: wait `grace` seconds for it, then SIGTERM, then SIGKILL. From any thread."""
        if self.pid is None:
            return
        for seconds, number in ((grace, signal.SIGTERM), (_TERM_SECONDS, signal.SIGKILL), (None, 0)):
            with suppress(TimeoutError):
                self._end.result(seconds)
                break
            self._keeper.signal(self.pid, number)
        with self._closing:
            self._keeper.unwatch(self._control)
            self._work.close()
            self._borrowed.close()
            if self._statm >= 0:
                os.close(self._statm)
                self._statm = -1

    def drop(self) -> None:
        """End a process that nobody calls, and do not wait. From any thread."""
        self.on_end(partial(self.end, 0.0))
        self.kill()

    def tell_stacks(self) -> None:
        """Have the process write to standard error what its threads are doing. From any thread."""
        if self.pid is not None:
            self._keeper.signal(self.pid, STACKS)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process and what it has started, and do not wait. From any thread."""
        if self.pid is not None:
            self._keeper.signal(self.pid, number)

    def on_end(self, function: Callable[[], None]) -> None:
        """Have `function` called when the process has ended; it must not wait for anything."""
        self._end.add_done_callback(lambda _: function())

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._end.done()

    def memory(self) -> int:
        """Resident bytes of the process, 0 where it is gone. Does not wait: the kernel tells it (proc(5))."""
        with suppress(OSError, IndexError):
            return int(os.pread(self._statm, 100, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return 0

    def _ask(
        self,
        head: dict[str, Any],
        payload: Any = (),
        descriptors: Any = (),
        pieces: Sequence[Piece] = (),
    ) -> Frame:
        """Send a frame and wait for its answer. Raises `ModelCrashed` or `TimeoutError`."""
        self._asked += 1
        head = head | {"asked": self._asked}
        try:
            if pieces:
                send_pieces(self._work, head, pieces)
            else:
                send(self._work, head, payload, descriptors)
            frame = receive(self._work)
        except PeerGone as gone:
            self.spoilt = self.spoilt or "crash"
            if isinstance(gone.__cause__, TimeoutError):
                raise TimeoutError from None
            if isinstance(gone, DescriptorsLost):
                raise ModelCrashed(f"the gateway cannot read its answer: {gone}") from None
            raise self._crash() from None
        if frame.head.get("asked") != self._asked:
            frame.close()
            self.spoilt = "crash"
            raise ModelCrashed("what came from it was no answer to what it was asked")
        return frame

    def _crash(self) -> ModelCrashed:
        try:
            return ModelCrashed(in_words(self._end.result(_TERM_SECONDS)))
        except TimeoutError:  # it has closed its socket, and lives
            return ModelCrashed("it does not speak to the gateway any more")

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
            frame = self._ask({"kind": "next", "element": index})
            self._raise(frame)
            if frame.head["end"]:
                return
            yield frame.payload


def _about(request: CurrentRequest, json_input: Any, input_hash: str) -> dict[str, Any]:
    """Return what the head of a frame says of a request."""
    return {
        "request_id": request.request_id,
        "deadline": request.deadline,
        "cancelled": request.cancelled,
        "input_hash": input_hash,
        "json": json.dumps(json_input),
    }
