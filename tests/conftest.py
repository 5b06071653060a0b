"""Fixtures that the whole test tree shares."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
import uvicorn
from blockbuster import blockbuster_ctx
from hypothesis import settings
from starlette.types import ASGIApp

from tests.harness.clusters import RayCluster, a_cluster
from tests.harness.log import LogCapture
from tests.harness.server import RunningServer, serving

# Where the environment forbids bytecode, as in many containers, each worker would compile all tests and each
# server that a test starts the whole package.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes is the machine's business.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it puts into the background with Ctrl-C ignored, which every process would inherit.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Most tests are about the wire, and send elements that no viewer could show. Those of the rules ask for
    # the rules; what the default is, is a test of the settings.
    os.environ.setdefault("GATEWAY_VALIDATE", "off")
    config.addinivalue_line(
        "markers",
        "wire(*rows): the rows of the wire contract (tests/wire_rows.py) that the test pins",
    )
    config.addinivalue_line(
        "markers", "setting(*names): the settings whose effect the test shows over a real socket"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests begin first, or at the end one process would still be at them while the others rest."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session", autouse=True)
def _nothing_blocks_the_event_loop() -> Iterator[None]:
    """A blocking call by the package on any running event loop raises `BlockingError` there.

    In a server that makes a 500 of the request; the test that sees it fails.
    """
    with blockbuster_ctx("inference_gateway") as buster:
        # The coverage tracer takes a lock of its own, whoever is being traced.
        buster.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield


@pytest.fixture(autouse=True)
def _garbage_is_looked_for_in_this_test() -> None:
    """A gateway that starts collects all garbage; what all tests have imported is several 100,000 objects.

    For each test: a gateway that ends gives up what was frozen.
    """
    gc.freeze()


@pytest.fixture
def log() -> Iterator[LogCapture]:
    """All log records of the process while the test runs, those of server threads too."""
    with LogCapture() as capture:
        yield capture
    assert "BlockingError" not in capture.text


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    """An empty folder for spools."""
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


class Serve(Protocol):
    def __call__(self, app: ASGIApp, server: uvicorn.Server | None = None) -> RunningServer: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Runs apps in real servers until the test ends: `serve(app).address` is where."""
    with ExitStack() as stack:

        def start(app: ASGIApp, server: uvicorn.Server | None = None) -> RunningServer:
            return stack.enter_context(serving(app, server))

        yield start


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    """The Ray cluster of all tests."""
    with a_cluster() as found:
        yield found
