"""The servers: how each is installed, started and asked, each in its own environment."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.workloads import Answer, Workload

HERE = Path(__file__).parent
APPS = HERE / "apps"
ENVIRONMENTS = HERE / ".venvs"
START_PATIENCE = 60.0
STOP_PATIENCE = 5.0


class Unavailable(Exception):
    """The server cannot be installed, or does not start."""


@dataclass(frozen=True)
class Server:
    """`command` has {bin} for its environment's programs, {port}, and {worker} for gunicorn's workers.

    `holds` is how many times over it may keep what is sent, in memory and in files: so much memory is warmed.
    """

    name: str
    title: str
    command: tuple[str, ...]
    requirements: str = ""  # empty: the project's own environment
    subtype: Literal["related", "form-data"] = "related"
    paths: Mapping[Answer, str] = field(default_factory=lambda: {"": "/", "array": "/", "iterable": "/"})
    ping: str = "/ping"
    variables: Mapping[str, str] = field(default_factory=dict)
    counts_parts: bool = True
    holds: float = 1.25


UVICORN = ("--port", "{port}", "--no-access-log", "--log-level", "warning")
TUNED = {"MALLOC_TOP_PAD_": str(64 << 20)}
EVERYWHERE: Mapping[Answer, str] = {"": "/infer", "array": "/infer", "iterable": "/infer"}

SERVERS = (
    Server("ours", "inference-gateway, uvicorn", ("{bin}/uvicorn", "ours:app", *UVICORN)),
    Server(
        "ours-serve",
        "inference-gateway serve",
        ("{bin}/inference-gateway", "serve", "ours:app", "--port", "{port}"),
    ),
    Server("floor", "floor", ("{bin}/uvicorn", "floor:app", *UVICORN), counts_parts=False, holds=0),
    Server(
        "floor-tuned",
        "floor, tuned",
        ("{bin}/uvicorn", "floor:app", *UVICORN),
        variables=TUNED,
        counts_parts=False,
        holds=0,
    ),
    Server("hash", "hash", ("{bin}/uvicorn", "hashing:app", *UVICORN), counts_parts=False, holds=0),
    Server(
        "old",
        "old design, gunicorn",
        ("{bin}/gunicorn", "old_design:app", "--bind", "127.0.0.1:{port}", "--timeout", "600", "{worker}"),
        requirements="old",
        holds=3.5,
    ),
    Server(
        "fastapi",
        "FastAPI",
        ("{bin}/uvicorn", "fastapi_app:app", *UVICORN),
        requirements="fastapi",
        holds=2,
        subtype="form-data",
    ),
    Server(
        "aiohttp",
        "aiohttp.web",
        ("{bin}/python", "aiohttp_app.py", "--port", "{port}"),
        requirements="aiohttp",
        holds=2,
    ),
    Server(
        "aiohttp-tuned",
        "aiohttp.web, tuned",
        ("{bin}/python", "aiohttp_app.py", "--port", "{port}", "--tuned"),
        requirements="aiohttp",
        holds=2,
    ),
    Server(
        "litserve",
        "LitServe",
        ("{bin}/python", "litserve_app.py", "--port", "{port}"),
        requirements="litserve",
        holds=5,
        subtype="form-data",
        paths=EVERYWHERE,
        ping="/health",
    ),
    Server(
        "bentoml",
        "BentoML",
        ("{bin}/bentoml", "serve", "bentoml_app:Counting", "--host", "127.0.0.1", "--port", "{port}"),
        requirements="bentoml",
        holds=3,
        subtype="form-data",
        paths={"": "/infer", "array": "/array", "iterable": "/iterable"},
        ping="/livez",
        variables={"BENTOML_DO_NOT_TRACK": "True"},
    ),
)
NAMES = tuple(server.name for server in SERVERS)
FLOORS = ("floor", "floor-tuned", "hash")
OURS = ("ours", "ours-serve")
TUNED_PEERS = ("aiohttp-tuned",)  # beyond what their documentation says: shown, and a verdict of their own
QUICK_NAMES = ("ours", "ours-serve", "floor", "floor-tuned", "old", "fastapi", "aiohttp")


def by_name(name: str) -> Server:
    return next(server for server in SERVERS if server.name == name)


# Environments


def programs(requirements: str) -> Path:
    """The folder with the environment's programs; what is missing is installed, and a failure is said."""
    if not requirements:
        return Path(sys.executable).parent
    wanted = (HERE / "requirements" / f"{requirements}.txt").read_bytes()
    folder = ENVIRONMENTS / requirements
    stamp = folder / "installed"
    digest = hashlib.sha256(wanted + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        install(folder, requirements)
        stamp.write_text(digest)
    return folder / "bin"


def install(folder: Path, requirements: str) -> None:
    print(f"installing {requirements} into {folder.relative_to(HERE.parent)} ...", flush=True)
    file = HERE / "requirements" / f"{requirements}.txt"
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [*pip, "--requirement", str(file)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in (done.stderr or done.stdout).splitlines() if "ERROR" in line] or [
                "no reason given"
            ]
            raise Unavailable(f"cannot be installed: {lines[-1]}")


# Life


@dataclass(frozen=True)
class Running:
    server: Server
    pid: int
    port: int


@contextmanager
def running(server: Server, workload: Workload, log: Path) -> Iterator[Running]:
    """The server, fresh, until the block ends. What it prints goes to `log`."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", ignore_cleanup_errors=True) as files:
        process = start(server, workload, port, log, files)
        try:
            wait_until_up(server, process, port, log)
            yield Running(server, process.pid, port)
        finally:
            stop(process)


def start(server: Server, workload: Workload, port: int, log: Path, files: str) -> subprocess.Popen[bytes]:
    """In a process group of its own, with a folder of its own for temporary files."""
    with open(log, "wb") as output:
        return subprocess.Popen(
            command_line(server, workload, port),
            cwd=APPS,
            env={**environment(server, workload), "TMPDIR": files},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def command_line(server: Server, workload: Workload, port: int) -> list[str]:
    worker = "--threads=8" if workload.concurrent else "--worker-class=sync"
    return [
        word.format(bin=programs(server.requirements), port=port, worker=worker) for word in server.command
    ]


def environment(server: Server, workload: Workload) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "MALLOC_"))
    }
    return {
        **inherited,
        "PYTHONPATH": str(APPS),
        "BENCH_ANSWER": workload.answer,
        "BENCH_ANSWER_BYTES": str(workload.answer_bytes),
        **server.variables,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_up(server: Server, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", server.ping)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise Unavailable("does not start")


def last_error(log: Path) -> str:
    """The last line of the log that looks like a reason, or nothing."""
    lines = [
        line
        for line in log.read_text(errors="replace").splitlines()
        if re.match(r"[\w.]+(Error|Exception)\b", line)
    ]
    return lines[-1][:160] if lines else ""


def stop(process: subprocess.Popen[bytes]) -> None:
    """The server and what it started: they are one process group."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
