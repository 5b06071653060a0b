"""The gateway's side of one model process: a blocking stand-in for the model, used on the model's thread."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, TimeoutError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from inference_gateway.errors import ModelCrashed, ModelFailed, SetupFailed
from inference_gateway.execution.check import Contract, InferenceResponse
from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.model_info import ModelInfo
from inference_gateway.execution.process.asking import Asking, call_of
from inference_gateway.execution.process.child import STACKS
from inference_gateway.execution.process.dialogue import Dialogue, WrongAnswer
from inference_gateway.execution.process.frames import DescriptorsLost, Frame, PeerGone, Piece
from inference_gateway.execution.process.keeper import SharedKeeper
from inference_gateway.execution.process.log_lines import levels, write
from inference_gateway.execution.process.messages import is_plain
from inference_gateway.execution.process.telling import RemoteError, in_words

TERM_SECONDS = 1.0  # between SIGTERM and SIGKILL
_CHILD = [sys.executable, "-m", "inference_gateway.execution.process.child"]


@dataclass(frozen=True)
class Recipe:
    """What a model process is made from.

    `target`: `module:object`; `device`: such as `cuda:1`, or None. `memory`: bytes of data that it may
    have, 0 for no limit. `batches`: it takes several requests. `tracing`: OpenTelemetry's variables, where
    spans of the model's own are sent. `model_info`: what it is, where it does not say so itself.
    """

    target: str
    route: str
    contract: Contract
    device: str | None = None
    memory: int = 0
    batches: bool = False
    tracing: dict[str, str] | None = None
    model_info: ModelInfo | None = None
    path: list[str] = field(default_factory=lambda: [os.getcwd(), *sys.path])

    def told(self) -> dict[str, Any]:
        """Return what `Inside` is made of."""
        return {
            "target": self.target,
            "route": self.route,
            "device": _device_inside(self.device),
            "binary_types": dict(self.contract.binary_types),
            "spool_dir": str(self.contract.spool_dir),
            "validation": self.contract.mode,
            "log_levels": levels(),
            "memory": self.memory,
            "batches": self.batches,
            "tracing": self.tracing,
            "model_info": self.model_info and self.model_info.told(),
            "path": self.path,
        }


class ModelProcess(Asking):
    """One process with one model. `start` it, `call` it, `end` it; it may end by itself at any time."""

    def __init__(self, keeper: SharedKeeper, recipe: Recipe) -> None:
        super().__init__()
        self._shared = keeper
        self._recipe = recipe
        self.pid: int | None = None
        self.model_info: ModelInfo | None = None
        self._end: Future[int | None] = Future()
        self._statm = -1  # of its memory, in /proc
        self._closing = threading.Lock()

    def start(self) -> None:
        """Start the process and set the model up in it; as long as that takes. Raises `SetupFailed`."""
        ours, work = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._dialogue = Dialogue(ours)
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        recipe = self._recipe
        with work, control:
            environment = _environment_of(recipe.device, os.environ)
            try:
                self._keeper = self._shared.get()
                self.pid, self._end = self._keeper.start(
                    _CHILD, environment, (work.fileno(), control.fileno())
                )
            except OSError as error:
                self._dialogue.close()
                self._control.close()
                raise SetupFailed("no process could be started for the model") from error
        with suppress(OSError):  # it has ended already
            self._statm = os.open(f"/proc/{self.pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._keeper.watch(self._control, partial(write, route=recipe.route))
        try:
            frame = self._ask(Piece(recipe.told()))
        except ModelCrashed as error:
            self.end(0.0)
            raise SetupFailed(f"the model's process ended while it was set up: {error.reason}") from None
        if "error" in frame.head:
            self.end(0.0)
            raise SetupFailed("the model could not be set up") from RemoteError(frame.head["traceback"])
        self.model_info = ModelInfo.of_told(frame.head["model_info"])

    def ask(
        self,
        request: CurrentRequest,
        json_input: Any,
        inputs: list[Any],
        input_hash: str,
        spool: Any,
        *,
        wait: bool = True,
    ) -> None:
        """Send a call, of which `answer` tells the end; without `wait` one that is small."""
        self.calls += 1
        with call_of(request, json_input, inputs, input_hash, spool) as asked:
            self._dialogue.ask(*asked, wait=wait)

    def has_plain_answer(self) -> bool:
        """Whether `answer` gives a whole result now, without waiting for anything."""
        frame = self._dialogue.look()
        return frame is not None and is_plain(frame.head)

    def answer(self) -> InferenceResponse:
        """Return what came of `ask`. Waits for it; raises as `call` does."""
        return self._response(self._answer())

    def fileno(self) -> int:
        """Return the descriptor that can be read when an answer begins to come."""
        return self._dialogue.fileno()

    def release(self, seconds: float | None = None) -> None:
        """Have the process let go of what it keeps of the call. On the model's thread.

        A generator's own end that takes longer than `seconds` spoils the process.
        """
        if self._is_held:
            self._is_held = False
            with suppress(ModelCrashed, OSError):
                self._ask(Piece({"kind": "release"}), seconds)

    def tear_down(self, seconds: float) -> None:
        """Have the model torn down, and end the process; it gets `seconds` for that.

        Raises `TimeoutError`, `ModelCrashed`, and `RemoteError` where the model's `teardown` raises.
        """
        try:
            self._raise(self._ask(Piece({"kind": "teardown"}), seconds))
        except ModelFailed as failed:
            raise failed.__cause__ or failed from None
        finally:
            self.end(TERM_SECONDS)

    def cancel(self, key: str) -> None:
        """Tell the model that nobody waits for the result of the request of this key.

        From any thread; does not wait.
        """
        with suppress(OSError):
            self._control.send(json.dumps({"cancel": key}).encode())

    def _give_back(self, place: int) -> None:
        """Tell the process that the memory of a result may be used again. From any thread; does not wait."""
        with suppress(OSError):
            self._control.send(json.dumps({"returned": place}).encode())

    def end(self, grace: float) -> None:
        """End the process: wait `grace` seconds for it, then SIGTERM, then SIGKILL. From any thread."""
        if self.pid is None:
            return
        for seconds, number in ((grace, signal.SIGTERM), (TERM_SECONDS, signal.SIGKILL), (None, 0)):
            with suppress(TimeoutError):
                self._end.result(seconds)
                break
            self._keeper.signal(self.pid, number)
        with self._closing:
            self._keeper.unwatch(self._control)
            self._dialogue.close()
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

    def _ask(self, asked: Piece, seconds: float | None = None) -> Frame:
        """Ask something and wait for its answer. Raises `ModelCrashed` or `TimeoutError`."""
        self._dialogue.ask(*asked)
        return self._answer(seconds)

    def _answer(self, seconds: float | None = None) -> Frame:
        try:
            return self._dialogue.answer(seconds)
        except TimeoutError:
            self.spoilt = self.spoilt or "crash"
            raise
        except WrongAnswer:
            self.spoilt = "crash"
            raise ModelCrashed("what came from it was no answer to what it was asked") from None
        except PeerGone as gone:
            self.spoilt = self.spoilt or "crash"
            if isinstance(gone, DescriptorsLost):
                raise ModelCrashed(f"the gateway cannot read its answer: {gone}") from None
            raise self._crash() from None

    def _crash(self) -> ModelCrashed:
        try:
            return ModelCrashed(in_words(self._end.result(TERM_SECONDS)))
        except TimeoutError:  # it has closed its socket, and lives
            return ModelCrashed("it does not speak to the gateway any more")


def _environment_of(device: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process on `device`, such as `cuda:1`: it sees that one, as number 0."""
    kind, _, number = (device or "").partition(":")
    if kind != "cuda" or not number.isdigit():
        return dict(environment)
    visible = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
    own = visible[int(number)] if visible != [""] and int(number) < len(visible) else number
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **environment, "CUDA_VISIBLE_DEVICES": own}


def _device_inside(device: str | None) -> str | None:
    """Return the name of `device` in a process with that environment."""
    return "cuda:0" if device is not None and device.startswith("cuda:") else device
