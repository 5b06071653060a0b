"""Gateways that serve many rows, each started when the first row needs it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from tests.harness.model import Records
from tests.odd_inputs.bench import Bench, CallBench, open_bench, open_call_bench, open_process_bench
from tests.odd_inputs.limits import LIMITS

SPOOLED = {"spool_memory_bytes": 16}
"""Nearly every body goes through a file."""


class Benches(Protocol):
    def __call__(self, *, limited: bool = False, spooled: bool = False) -> Bench: ...


class CallBenches(Protocol):
    def __call__(self, *, limited: bool = False) -> CallBench: ...


@pytest.fixture(scope="session")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    """Gateways with default or small limits, keeping bodies in memory or in files."""
    started: dict[tuple[bool, bool], Bench] = {}
    with ExitStack() as stack:

        def bench(*, limited: bool = False, spooled: bool = False) -> Bench:
            if (limited, spooled) not in started:
                settings: dict[str, Any] = (LIMITS if limited else {}) | (SPOOLED if spooled else {})
                opened = open_bench(tmp_path_factory.mktemp("spool"), **settings)
                started[limited, spooled] = stack.enter_context(opened)
            return started[limited, spooled]

        yield bench


@pytest.fixture(scope="session")
def process_benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    """Gateways whose models have processes of their own, as above."""
    folder = tmp_path_factory.mktemp("records")
    started: dict[tuple[bool, bool], Bench] = {}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECORDS", str(folder / "calls"))
        records = Records(folder / "calls")

        def bench(*, limited: bool = False, spooled: bool = False) -> Bench:
            if (limited, spooled) not in started:
                settings: dict[str, Any] = (LIMITS if limited else {}) | (SPOOLED if spooled else {})
                opened = open_process_bench(tmp_path_factory.mktemp("spool"), records, **settings)
                started[limited, spooled] = stack.enter_context(opened)
            return started[limited, spooled]

        yield bench


@pytest.fixture(scope="session")
def call_benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallBenches]:
    """The same without servers around them."""
    started: dict[bool, CallBench] = {}
    with ExitStack() as stack:

        def bench(*, limited: bool = False) -> CallBench:
            if limited not in started:
                opened = open_call_bench(tmp_path_factory.mktemp("spool"), **(LIMITS if limited else {}))
                started[limited] = stack.enter_context(opened)
            return started[limited]

        yield bench


@pytest.fixture(scope="session")
def hardened_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with open_bench(tmp_path_factory.mktemp("spool"), hardened=True) as bench:
        yield bench


@pytest.fixture(params=["uvicorn", "hardened"])
def any_bench(request: pytest.FixtureRequest, benches: Benches) -> Bench:
    """Each of the two servers that the gateway is run by."""
    if request.param == "uvicorn":
        return benches()
    hardened: Bench = request.getfixturevalue("hardened_bench")
    return hardened


@pytest.fixture(scope="session")
def impatient_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A gateway that waits for body bytes no longer than a test may take."""
    with open_bench(tmp_path_factory.mktemp("spool"), idle_timeout=0.3) as bench:
        yield bench
