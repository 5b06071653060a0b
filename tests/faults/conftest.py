"""Servers for the fault tests."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.faults.rest import Faulty
from tests.harness.process import Process, serve_command

PROJECT = Path(__file__).parents[2]


class StartFaulty(Protocol):
    def __call__(self, model: str = ..., *, prefix: Sequence[str] = ..., **settings: Any) -> Faulty: ...


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[StartFaulty]:
    """Runs `serve` for a model of `tests.faults.model`, behind a command such as `prlimit`."""
    folder = tmp_path / "spool"
    folder.mkdir()
    for name in ("begun", "go"):
        os.mkfifo(tmp_path / name)
    with ExitStack() as stack:

        def start(model: str = "sizes", *, prefix: Sequence[str] = (), **settings: Any) -> Faulty:
            command = [*prefix, *serve_command(f"tests.faults.model:{model}")]
            process = Process(PROJECT, command, **{"spool_dir": folder, **settings})
            stack.callback(process.close)
            here = Path(str(settings.get("spool_dir", folder)))
            return Faulty(process, here, model, again=lambda: start(model, **settings))

        yield start
