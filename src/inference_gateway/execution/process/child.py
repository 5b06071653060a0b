"""What runs in a model process: it loads one model, and answers one call after the other.

The model runs on the process's main thread. One more thread listens for cancellations, and a third one runs
an event loop where a callback is `async def`. Log records go to the gateway, which writes them as its own.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import resource
import select
import signal
import socket
import sys
import threading
import warnings
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from inference_gateway.execution.call import guarded, run_to_end
from inference_gateway.execution.check import Contract, InferenceResponse, prepare
from inference_gateway.execution.current_request import CurrentRequest, Request
from inference_gateway.execution.process.arena import Arena, Arenas
from inference_gateway.execution.process.child_batch import Batch
from inference_gateway.execution.process.child_loop import LazyLoop
from inference_gateway.execution.process.frames import (
    DescriptorsLost,
    Frame,
    PeerGone,
    receive,
    send,
    send_pieces,
    split,
)
from inference_gateway.execution.process.log_lines import forward
from inference_gateway.execution.process.messages import Packed, open_study
from inference_gateway.execution.process.telling import told
from inference_gateway.execution.signature import check_model
from inference_gateway.execution.target import load
from inference_gateway.payload.spool import Spool
from inference_gateway.telemetry.context import working_for

WORK, CONTROL = 3, 4  # the descriptors that the warden gives it
STACKS = signal.SIGUSR1  # has it write the stacks of its threads to standard error
_IDLE_MILLISECONDS = 2000  # after which the memory of results goes back to the system

logger = logging.getLogger("inference_gateway")


def main() -> None:
    """Serve the gateway until it goes, or says so."""
    faulthandler.enable()
    faulthandler.register(STACKS, all_threads=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the gateway says when to end
    work = socket.socket(fileno=os.dup(WORK))
    control = socket.socket(fileno=os.dup(CONTROL))
    for descriptor in (WORK, CONTROL):
        os.close(descriptor)
    try:
        frame = receive(work)
        _Child(work, control, frame.head).serve()
    except DescriptorsLost as lost:
        logger.error("a model's process ends: %s", lost)
    except PeerGone:
        pass
    os._exit(0)  # threads of the model must not keep it


class _Child:
    def __init__(self, work: socket.socket, control: socket.socket, setup: dict[str, Any]) -> None:
        self._work = work
        self._control = control
        self._setup = setup
        self._asked = setup["asked"]  # the number of what is being answered
        self._request: CurrentRequest | None = None
        self._cancelled: deque[str] = deque(maxlen=1000)  # ids of those of which it was said
        self._batch = Batch()
        self._held: _Held | None = None
        self._arenas = Arenas(setup["memory"])
        self._model: Any = None
        spool_dir, mode, at_rest = Path(setup["spool_dir"]), setup["validation"], setup["batches"]
        self._contract = Contract(setup["binary_types"], spool_dir, mode, at_rest)
        if setup["memory"]:  # more raises MemoryError, where the model asks the C library for it
            resource.setrlimit(resource.RLIMIT_DATA, (setup["memory"], setup["memory"]))
        forward(control, setup["log_levels"])
        logging.raiseExceptions = False
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        self._pid = os.getpid()
        os.register_at_fork(after_in_child=self._fall_silent)
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def serve(self) -> None:
        """Set the model up and answer until there is nobody to answer."""
        if not self._answer(self._set_up):
            return
        while True:
            frame = receive(self._work)
            self._asked = frame.head["asked"]
            match frame.head["kind"]:
                case "call":
                    self._call(frame)
                    if self._held is None:  # and nothing of the call is left on the stack
                        self._arenas.give_back()
                case "batch":
                    self._call_batch(frame)
                case "outcomes":
                    self._answer_outcomes()
                case "next":
                    self._answer_next(frame.head["element"])
                case "release":
                    self._release()
                    self._arenas.give_back()
                    self._send({"done": "release"})
                case _:
                    self._answer(self._tear_down)
                    return

    def _send(self, head: dict[str, Any], payload: Any = (), descriptors: Any = ()) -> None:
        send(self._work, head | {"asked": self._asked}, payload, descriptors)

    def _answer(self, step: Any) -> bool:
        try:
            step()
        except BaseException as error:
            self._send(told(error))
            return False
        self._send({"done": "step"})
        return True

    # The model's life

    def _set_up(self) -> None:
        sys.path[:0] = [entry for entry in self._setup["path"] if entry not in sys.path]
        self._model = load(self._setup["target"])
        check_model(self._model, self._setup["target"], batches=self._setup["batches"])
        for step in ("setup", "warm_up"):
            self._life_cycle(step)

    def _tear_down(self) -> None:
        self._life_cycle("teardown")

    def _life_cycle(self, step: str) -> None:
        function = getattr(self._model, step, None)
        if function is not None:
            self._in_context(self._new_request(step), run_to_end, function)

    def _new_request(
        self, request_id: str, deadline: float | None = None, kind: type[Any] = CurrentRequest
    ) -> Any:
        return kind(request_id, self._setup["route"], deadline, device=self._setup["device"], loop=self._loop)

    def _in_context(self, request: CurrentRequest, function: Any, *args: Any) -> Any:
        self._request = request  # before the look at `_cancelled`: the other thread goes the other way round
        request.cancelled = request.cancelled or request.request_id in self._cancelled
        token = working_for.set(request)
        try:
            return function(*args)
        finally:
            self._end_a_fork()
            working_for.reset(token)
            self._request = None

    @cached_property
    def _loop(self) -> Any:
        """The event loop of `async def` callbacks, on a thread of its own: started when it is needed."""
        return LazyLoop(self._end_a_fork)

    # What the model forks

    def _fall_silent(self) -> None:
        """In what was forked: the answer is the parent's to give. Log lines go on."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._work.fileno(), inheritable=False)
        os.close(null)

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

    def _call(self, frame: Frame) -> None:
        head = frame.head
        spool, inputs = open_study(frame)
        held = _Held(spool, self._arenas.take())
        request = self._new_request(head["request_id"], head["deadline"])
        request.allocate = held.arena.empty
        try:
            response = self._in_context(request, self._compute, head, inputs)
            held.response = response
            packed = Packed(response, held.arena)
            held.blocks = {
                index: element.blocks()
                for index, (_, element) in enumerate(response.elements)
                if packed.elements[index][0] == "blocks"
            }
            del response
        except BaseException as error:
            held.close()
            self._send(told(error))
            return
        try:
            self._send(packed.head, packed.payload, packed.descriptors)
        finally:
            if packed.is_held:
                self._held = held
                held.request = request
            else:
                held.close()

    def _compute(self, head: dict[str, Any], inputs: list[Any]) -> InferenceResponse:
        kept = tuple(inputs)  # what the model does with its list is its own business
        result = guarded(self._model, json.loads(head["json"]), inputs, head["input_hash"])
        response: InferenceResponse = guarded(self._check, result, kept)
        return response

    def _check(self, result: Any, inputs: Sequence[Any]) -> InferenceResponse:
        return prepare(result, self._contract, inputs)

    def _answer_next(self, index: int) -> None:
        held = self._held
        assert held is not None
        try:
            block = self._in_context(held.request, next, held.blocks[index], None)
        except BaseException as error:
            self._send(told(error))
            return
        if block is None:
            self._send({"done": "next", "end": True})
        else:
            self._send({"done": "next", "end": False}, [block])

    def _release(self) -> None:
        if self._held is not None:
            self._in_context(self._held.request, self._held.close)
            self._held = None

    # A batch

    def _call_batch(self, frame: Frame) -> None:
        head = frame.head
        for piece in split(frame):
            request = self._new_request(piece.head["request_id"], piece.head["deadline"], Request)
            self._batch.add(piece, request)  # before the look at `_cancelled`, as above
            request.cancelled = request.cancelled or request.request_id in self._cancelled
        request = self._new_request(head["request_id"], head["deadline"])
        try:
            self._in_context(request, self._batch.call, self._model, self._check)
        except BaseException as error:
            self._batch.close()
            self._send(told(error))
        else:
            self._answer_outcomes()

    def _answer_outcomes(self) -> None:
        send_pieces(self._work, {"done": "outcomes", "asked": self._asked}, self._batch.next_outcomes(told))
        if self._batch.all_gone:
            self._batch.close()

    # From the other side

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while True:
            if not poll.poll(_IDLE_MILLISECONDS if self._arenas.hold_memory else None):
                self._arenas.forget()
                continue
            try:
                data = self._control.recv(4096)
            except OSError:
                data = b""
            if not data:
                os._exit(0)  # the gateway has gone; the warden comes for the rest
            message = json.loads(data)
            if "returned" in message:
                self._arenas.returned(message["returned"])
            else:
                self._cancel(message["cancel"])

    def _cancel(self, request_id: str) -> None:
        self._cancelled.append(request_id)
        for request in (self._request, *self._batch.requests):
            if request is not None and request.request_id == request_id:
                request.cancelled = True
                if request.task is not None:
                    request.loop.call_soon_threadsafe(request.cancel)


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


if __name__ == "__main__":
    main()
