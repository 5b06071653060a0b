"""What runs in a model process: it loads one model, and answers one call after the other.

The model runs on the process's main thread. One more thread listens for cancellations. Log records go to the
gateway, which writes them as its own.
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
from typing import Any

from inference_gateway.execution.process.arena import Arenas
from inference_gateway.execution.process.frames import DescriptorsLost, PeerGone, Piece, receive, send
from inference_gateway.execution.process.inside import Inside
from inference_gateway.execution.process.log_lines import forward

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
        self._asked = setup["asked"]  # the number of what is being answered
        self._arenas = Arenas(setup["memory"])
        self._inside = Inside(setup, self._arenas)
        if setup["memory"]:  # more raises MemoryError, where the model asks the C library for it
            resource.setrlimit(resource.RLIMIT_DATA, (setup["memory"], setup["memory"]))
        forward(self._send_line, setup["log_levels"])
        logging.raiseExceptions = False
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        os.register_at_fork(after_in_child=self._fall_silent)
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def serve(self) -> None:
        """Set the model up and answer until there is nobody to answer."""
        reply = self._inside.set_up()
        self._send(reply)
        if "error" in reply.head:
            return
        while True:
            frame = receive(self._work)
            self._asked, kind = frame.head["asked"], frame.head["kind"]
            reply = self._inside.answer(frame)
            try:
                self._send(reply)
            finally:
                del frame, reply  # and nothing of the call is left on the stack
                self._inside.sent()
            if kind == "teardown":
                return

    def _send(self, reply: Piece) -> None:
        send(self._work, reply.head | {"asked": self._asked}, reply.payload, reply.descriptors)

    def _send_line(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a gateway that has gone needs none
            self._control.send(data)

    def _fall_silent(self) -> None:
        """In what the model forks: the answer is the parent's to give. Log lines go on."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._work.fileno(), inheritable=False)
        os.close(null)

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
                self._inside.cancel(message["cancel"])


if __name__ == "__main__":
    main()
