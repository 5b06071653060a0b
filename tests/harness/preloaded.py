"""A process that has imported what `inference-gateway` does, and becomes one for each that is asked of it.

It is the program of `tests.harness.forked`: a fork for each message on the socket whose number is its
argument. The fork goes on as `python -m inference_gateway.cli` would, and this process tells with which
status it ended.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading

MODULE = "inference_gateway.cli"
leave = os._exit  # before coverage has one of its own
LONGEST = 1 << 17  # bytes of a message
SERVING = "inference_gateway.serving"
PRELOADED = (
    *(f"{SERVING}.{name}" for name in ("command", "server", "supervisor", "target", "application")),
    "uvloop",
    "uvicorn.loops.uvloop",
    "uvicorn.lifespan.on",
    "encodings.idna",
    "coverage",
)


def become(told: bytes, descriptors: list[int]) -> list[str]:
    """Take folder, environment and descriptors 0, 1, 2 as a new process has them. Returns its arguments."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, source in enumerate(descriptors):
        os.dup2(source, target)
    os.closerange(3, 1024)
    asked = json.loads(told)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[0] = os.getcwd()
    arguments: list[str] = asked["arguments"]
    return arguments


def tell_ends(statuses: dict[int, int]) -> None:
    """Write the status of each that has ended into its pipe, which ends with it."""
    while statuses:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        pipe = statuses.pop(pid)
        os.write(pipe, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(pipe)


def fork_until_asked_no_more(number: int) -> list[str]:
    """Return in the forks only, with the arguments of what they are to be."""
    asking = socket.socket(fileno=number)
    woken, wakes = os.pipe()
    for end in (woken, wakes):
        os.set_blocking(end, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who has started this
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    statuses: dict[int, int] = {}
    gc.freeze()  # the forks share it
    while True:
        ready, _, _ = select.select([number, woken], [], [])
        if woken in ready:
            os.read(woken, 1000)
            tell_ends(statuses)
        if number in ready:
            told, given, _, _ = socket.recv_fds(asking, LONGEST, 4)
            if not told:
                os._exit(0)
            *standard, status = given
            if not (pid := os.fork()):
                asking.detach()
                return become(told, standard)
            statuses[pid] = status
            for descriptor in standard:
                os.close(descriptor)
            asking.send(str(pid).encode())


def run() -> int:
    """Be the command, and return its exit code. What an interpreter ends with otherwise is raised."""
    try:
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, int):
            return end.code
        raise
    return 0


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    sys.argv[1:] = fork_until_asked_no_more(int(sys.argv[1]))
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        importlib.import_module("coverage").process_startup()
    code = run()
    # What an interpreter does at its end, but for taking apart each of a hundred thousand objects.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    leave(code)
