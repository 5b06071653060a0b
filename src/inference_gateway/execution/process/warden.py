"""The warden: a small process that starts model processes, and lets nothing of them outlive the gateway.

It imports next to nothing, so that it costs a few MiB. Its one thread lasts as long as it does: the kernel's
parent-death signal (prctl(2), PR_SET_PDEATHSIG) belongs to the thread that started a process. It is the
reaper of what model processes start in their turn (PR_SET_CHILD_SUBREAPER): each model process is a session,
and what has left the session is known by a token in its environment. Where the gateway goes, however it does,
the socket to it says so, or the kernel (pidfd_open(2)) where a fork keeps the socket, and all are killed.

Where it is itself killed by force, the kernel kills the model processes, and the gateway what
these have started (`kill_marked`).

Messages, JSON in one datagram each. To it: `{"start": [argv], "cwd": ..., "env": {...}, "mark": "..."}` with
the descriptors that the process inherits as 3, 4, ..., and what its token begins with;
`{"signal": number, "pid": pid}` for a whole session. From it: `{"started": pid}` or `{"failed": "why"}`, and
`{"ended": pid, "status": waitpid's}`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys

TOKEN = "INFERENCE_GATEWAY_PROCESS"  # noqa: S105 - the name of a variable

_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_TERMINAL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a terminal's go to the whole group


def main(descriptor: int) -> None:
    """Serve the gateway at the other end of the socket `descriptor` until it goes."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Blocked, not ignored: what is sent to a child that has hardly begun waits until the child takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINAL)
    sock = socket.socket(fileno=descriptor)
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    tokens: dict[int, str] = {}
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(wake, select.POLLIN)
    gateway = os.getppid()
    with contextlib.suppress(OSError):  # a kernel before 5.3: the socket alone says it
        gateway = os.pidfd_open(gateway)
        poll.register(gateway, select.POLLIN)
    while True:
        ready = {found for found, _ in poll.poll()}
        if wake in ready:
            os.read(wake, 4096)
            _reap(sock, tokens)
        if gateway in ready or (descriptor in ready and not _obey(sock, tokens, libc)):
            break
    for pid in tokens:
        signal_child(pid, signal.SIGKILL)
    while tokens:
        tokens.pop(os.waitpid(-1, 0)[0], None)
    _kill_orphans(tokens)


def _obey(sock: socket.socket, tokens: dict[int, str], libc: ctypes.CDLL) -> bool:
    """Do what one message says; return whether there was one."""
    try:
        data, descriptors, _, _ = socket.recv_fds(sock, 1 << 20, 16)
    except OSError:
        return False
    if not data:
        return False
    message = json.loads(data)
    if "start" in message:
        try:
            token = f"{message['mark']}-{os.urandom(16).hex()}"
            pid = _start(message, descriptors, token, libc)
        except OSError as error:
            _tell(sock, {"failed": error.strerror or "no process"})
        else:
            tokens[pid] = token
            _tell(sock, {"started": pid})
        for descriptor in descriptors:
            os.close(descriptor)
    elif message["pid"] in tokens:  # else it has ended already, and its number may be another's
        signal_child(message["pid"], message["signal"])
    return True


def _tell(sock: socket.socket, message: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # the gateway has gone: seen at the next look
        sock.send(json.dumps(message).encode())


def _start(message: dict[str, object], descriptors: list[int], token: str, libc: ctypes.CDLL) -> int:
    argv, env = message["start"], {**message["env"], TOKEN: token}  # type: ignore[dict-item]
    warden = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != warden:
            os._exit(1)
        high = [os.dup2(descriptor, 100 + at) for at, descriptor in enumerate(descriptors)]
        for at, descriptor in enumerate(high):
            os.dup2(descriptor, 3 + at)
        os.closerange(3 + len(high), 200)
        for number in (*_TERMINAL, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERMINAL)
        os.chdir(message["cwd"])  # type: ignore[arg-type]
        os.execve(argv[0], argv, env)  # type: ignore[index, arg-type]  # noqa: S606 - no shell
    except OSError as error:
        os.write(2, f"a model's process could not be started: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _reap(sock: socket.socket, tokens: dict[int, str]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        if tokens.pop(pid, None) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            _kill_orphans(tokens)
            _tell(sock, {"ended": pid, "status": status})


def signal_child(pid: int, number: int) -> None:
    """Signal the session of a child that has not been waited for, or it alone where it has made none yet."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _kill_orphans(tokens: dict[int, str]) -> None:
    """Kill what has left its session and belongs to no model process that goes on.

    An orphan that is just being started shows no environment yet: it is taken for one that belongs to nobody.
    """
    warden = os.getpid()
    living = {f"{TOKEN}={token}".encode() for token in tokens.values()}
    orphans = True
    while orphans:  # the children of an orphan become orphans when it dies
        orphans = False
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(entry)
                state, parent = _read(pid, "stat").rpartition(b")")[2].split()[:2]
                if int(parent) != warden or pid in tokens or state == b"Z":
                    continue
                if not living & set(_read(pid, "environ").split(b"\0")):
                    os.kill(pid, signal.SIGKILL)
                    orphans = True


def kill_marked(mark: str) -> None:
    """Kill all whose token begins with `mark`: what a warden leaves that was itself killed by force."""
    begin = f"{TOKEN}={mark}-".encode()
    killed: set[int] = set()
    goes_on = True
    while goes_on:  # what one has started while this looked
        goes_on = False
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(entry)
                if pid in killed:
                    continue
                if any(each.startswith(begin) for each in _read(pid, "environ").split(b"\0")):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
                    goes_on = True


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
