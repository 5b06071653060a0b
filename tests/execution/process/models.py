"""Models that run in processes of their own: what they do is asked for in the request's JSON."""

import asyncio
import ctypes
import json
import logging
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from inference_gateway import current_request

log = logging.getLogger("my_model")


def sizes(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
    """What it was called with."""
    log.info("called with %d inputs", len(inputs))
    return {
        "json": json_input,
        "sizes": [part.size for part in inputs],
        "hash": input_hash,
        "pid": os.getpid(),
    }


def bodies(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Each input as an element."""
    return {"parts": [{"binary_type": "dicom"} for _ in inputs]}, [part.read() for part in inputs]


async def asynchronous(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
    """Waits for its time to be over, or for the number of seconds in the JSON."""
    await asyncio.sleep(json_input.get("seconds", 0))
    return {"request": current_request().request_id}


def filled(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """An array of 7, in memory that crosses without a copy where the JSON says so."""
    make = current_request().empty if json_input["shared"] else np.empty
    array = make((json_input["size"],), np.uint8)
    array[:] = 7
    return {"parts": [{"binary_type": "heatmap"}]}, [array]


def streamed(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """A generator that leaves a mark when it ends."""

    def blocks() -> Iterator[bytes]:
        try:
            for number in range(3):
                yield bytes([number]) * 1000
            if json_input.get("fails"):
                raise ValueError("in the middle")
        finally:
            if "mark" in json_input:
                Path(json_input["mark"]).touch()

    return {"parts": [{"binary_type": "dicom"}]}, [blocks()]


def ends(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Ends as the JSON says."""
    match json_input["how"]:
        case "raises":
            raise ValueError("as asked for")
        case "device memory":
            raise RuntimeError("CUDA error: out of memory")
        case "device error":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        case "wrong":
            return {"parts": [{"binary_type": "dicom"}]}, []
        case "segmentation fault":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
    return {"pid": os.getpid()}


def waits(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
    """Leaves a mark, and works until nobody waits any more."""
    Path(json_input["mark"]).touch()
    while not current_request().cancelled:
        time.sleep(0.01)
    current_request().raise_if_cancelled()
    return {}


def begets(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
    """Starts two processes that sleep, one of them in a session of its own."""
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]
    started = [subprocess.Popen(sleep, start_new_session=apart) for apart in (False, True)]
    return {"pids": [process.pid for process in started]}


def held(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
    """Leaves a mark where the JSON names one, and works until somebody has taken it away."""
    if "mark" in json_input:
        mark = Path(json_input["mark"])
        mark.touch()
        while mark.exists():
            time.sleep(0.01)
    return {"visible": os.environ["CUDA_VISIBLE_DEVICES"]}


def forks(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Forks a process that returns or raises beside it, and waits for its end where the JSON says so."""
    answer = {"pid": os.getpid(), "number": json_input["number"]}
    if "how" not in json_input:
        return answer
    current_request().empty((100_000,))[:] = 1
    pid = os.fork()
    if not pid:
        if json_input["how"] == "raises":
            raise ValueError("in what was forked")
        array = current_request().empty((100_000,))
        array[:] = 2
        return {"parts": [{"binary_type": "heatmap"}]}, [array]
    return answer | {"ended": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}


async def forks_in_a_coroutine(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """As `forks`."""
    return forks(json_input, inputs, input_hash)


def logs_much(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """A line that is too long in every respect, one whose arguments do not fit, and a short one."""
    much = "\U0001f600" * 100_000
    log.warning("long: %s", much, extra={"much": much, "little": 1}, stack_info=True)
    log.warning("not a number: %d", "x")
    log.warning("the last")
    return {}


def forges(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Writes an answer of its own to the socket on which the gateway waits, where the JSON says so."""
    if "forged" in json_input:
        head = json.dumps(json_input["forged"]).encode()
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as found:
                if found.type == socket.SOCK_STREAM:
                    found.sendall(struct.pack("=IQ", len(head), 2) + head + b"{}")
        time.sleep(json_input.get("seconds", 0))
    return {"pid": os.getpid()}


def may_open_no_more(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Reads its inputs, and leaves its process without room for another file."""
    sizes = [len(part.read()) for part in inputs]
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    return {"sizes": sizes}


def moves(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Goes to a folder, and names a file there as its element."""
    os.chdir(json_input["folder"])
    Path("element").write_bytes(b"of the model's folder")
    return {"parts": [{"binary_type": "dicom"}]}, [Path("element")]


class LeavesLate:
    """Does with its end what the environment says."""

    def teardown(self) -> None:
        while os.environ["LEAVES"] == "hangs":
            time.sleep(0.01)
        raise ValueError("in its teardown")

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        return {}


def hangs_with_threads(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Hangs, and so do many threads, each deep inside: their stacks are long."""

    def down(depth: int) -> None:
        while not depth:
            time.sleep(1)
        down(depth - 1)

    if "hangs" in json_input:
        for _ in range(90):
            threading.Thread(target=down, args=(90,), daemon=True).start()
        last_in_the_dump()
    return {"pid": os.getpid()}


def last_in_the_dump() -> None:
    while True:
        time.sleep(0.01)


class Lives:
    """Leaves a mark for each step of its life in the folder of the environment variable."""

    def _mark(self, step: str) -> None:
        (Path(os.environ["MARKS"]) / step).touch()

    def setup(self) -> None:
        self._mark("setup")
        self.weights = 42

    def warm_up(self) -> None:
        self._mark("warm_up")

    def teardown(self) -> None:
        self._mark("teardown")

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
        return {"weights": self.weights}


class Heavy:
    """What a framework costs: memory, and time to be set up, until the folder has no file `closed`."""

    def setup(self) -> None:
        self.weights = np.ones(200 << 20, np.uint8)
        Gated().setup()

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
        return {"pid": os.getpid(), "weights": self.weights.nbytes}


class Gated:
    """Cannot be set up while the folder of the environment variable has a file `closed`."""

    def setup(self) -> None:
        gate = Path(os.environ["MARKS"])
        (gate / "waits").touch()
        while (gate / "closed").exists():
            time.sleep(0.01)

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
        if json_input.get("exits"):
            os._exit(3)
        return {"pid": os.getpid()}


class FailsInSetup:
    def setup(self) -> None:
        raise FileNotFoundError("no weights")

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
        return {}


class DiesInSetup(FailsInSetup):
    def setup(self) -> None:
        os._exit(9)


def hangs(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    """Hangs so that no flag ends it: in the call, between blocks, at a generator's end; or is stopped."""
    where = json_input.get("where")
    if where == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    while where == "call":
        time.sleep(0.01)
    if where is None:
        return {"pid": os.getpid()}

    def blocks() -> Iterator[bytes]:
        try:
            yield bytes(1000)
            while where == "block":
                time.sleep(0.01)
            while True:
                yield bytes(1 << 20)
        finally:
            while where == "end":
                time.sleep(0.01)

    return {"parts": [{"binary_type": "dicom"}]}, [blocks()]


def waits_or_tells(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
    """Works until nobody waits any more, where the JSON names a mark."""
    if "mark" in json_input:
        waits(json_input, inputs, input_hash)
    return {"pid": os.getpid()}


def clocks(json_input: Any, inputs: list[Any], input_hash: str) -> dict[str, Any]:
    """When it began and ended, by a clock that all processes share, and on which device."""
    begin = time.monotonic()
    time.sleep(0.005)
    return {
        "begin": begin,
        "end": time.monotonic(),
        "device": current_request().device,
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
