"""What the tests of the application share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_gateway import Gateway, Settings
from tests.harness.model import Staged


@pytest.fixture
def app(spool_dir: Path) -> Gateway:
    return Gateway(settings=Settings(spool_dir=spool_dir))


@pytest.fixture
def staged() -> Iterator[Staged]:
    made = Staged()
    yield made
    made.go.set()
