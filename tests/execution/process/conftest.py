"""A keeper, and model processes that are gone when a test is over."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inference_gateway.execution.check import Contract
from inference_gateway.execution.process.host import ModelProcess, Recipe
from inference_gateway.execution.process.keeper import SharedKeeper
from inference_gateway.payload.contract import BINARY_TYPES

Start = Callable[[str], ModelProcess]


@pytest.fixture(scope="module")
def keeper() -> Iterator[SharedKeeper]:
    found = SharedKeeper()
    found.share()
    yield found
    last = found.close()
    if last is not None:
        last.join()


@pytest.fixture
def start(keeper: SharedKeeper, spool_dir: Path) -> Iterator[Start]:
    """Starts a process with one of the models."""
    started = []

    def begin(name: str) -> ModelProcess:
        process = ModelProcess(
            keeper, Recipe(f"tests.execution.process.models:{name}", "/", Contract(BINARY_TYPES, spool_dir))
        )
        started.append(process)
        process.start()
        return process

    yield begin
    for process in started:
        process.end(0.0)
