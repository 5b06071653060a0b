"""What a process that a model forks must not keep: port, connections, others' bodies, the server's signals.

A forked child, such as a worker of a process pool, gets a copy of every descriptor. A connection that the
server closes would stay open for the client until the child ends as well, and the port taken. So the child's
first act is to put the null device in the place of each. The number stays taken: an object that was copied
too and closes it later closes nothing else.

It also gets the handlers of the signals. The server's only take note that it shall end: `Process.terminate()`
would end no child. So the child gets Python's own, and a signal that comes before is held back until then.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import threading
from contextlib import suppress
from typing import Any

from inference_gateway.payload.spool import files_of_others

_serving = 0  # the process whose children are meant; not their children's
_installed = False
_descriptors: set[int] = set()
_held = threading.local()  # of the forking thread: `parent`, and `before`: which signals it held back before
_DEFAULT_HANDLERS: dict[signal.Signals, Any] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}


def keep_from_children(*descriptors: int) -> None:
    """From now on what this process forks does not keep its server's sockets, nor `descriptors`."""
    global _serving, _installed
    _serving = os.getpid()
    _descriptors.update(descriptors)
    if not _installed and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_in_child)
        _installed = True


def _hold_signals() -> None:
    _held.parent = os.getpid()
    _held.before = signal.pthread_sigmask(signal.SIG_BLOCK, _DEFAULT_HANDLERS)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.before)


def _in_child() -> None:
    try:
        if _held.parent == _serving:
            _let_go()
            _restore_handlers()
    finally:
        _release_signals()


def _let_go() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in [*_server_sockets(), *files_of_others(), *_descriptors]:
        with suppress(OSError):
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def _server_sockets() -> list[int]:
    """Those that listen, and those that were accepted by one: their own address is that of the one."""
    streams: dict[int, Any] = {}
    listening: set[Any] = set()
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the folder's own, which is closed by now
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            sock = socket.socket(fileno=int(name))
            try:
                if sock.type == socket.SOCK_STREAM:
                    streams[int(name)] = where = _where(sock.getsockname())
                    if where and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        listening.add(where)
            finally:
                sock.detach()
    return [descriptor for descriptor, where in streams.items() if where in listening]


def _where(address: Any) -> Any:
    """Return the port, or the path of a Unix socket."""
    return address[1] if isinstance(address, tuple) else address


def _restore_handlers() -> None:
    """Python's own handlers in the place of a uvicorn server's."""
    server = getattr(sys.modules.get("uvicorn.server"), "Server", ())
    for number, default in _DEFAULT_HANDLERS.items():
        handler = signal.getsignal(number)
        if isinstance(getattr(handler, "__self__", None), server):
            signal.set_wakeup_fd(-1)
            signal.signal(number, default)
