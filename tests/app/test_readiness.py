"""Whether requests are taken, and if not, why."""

import pytest

from inference_gateway import Settings
from inference_gateway.app.readiness import SHUTTING_DOWN, Readiness
from inference_gateway.errors import SetupFailed
from inference_gateway.execution.line import Load
from tests.harness.turns import runner

SETTINGS = Settings(orphaned_unready_after=10, orphaned_unhealthy_after=100)
RUNNER = runner()


@pytest.fixture
def readiness() -> Readiness:
    return Readiness(SETTINGS, [RUNNER])


def test_a_new_gateway_takes_requests(readiness: Readiness) -> None:
    assert readiness.is_set_up
    assert readiness.refusal("/") is readiness.unready is readiness.unhealthy is None


def test_a_route_waits_for_its_set_up_and_no_other_does(readiness: Readiness) -> None:
    readiness.wait_for(["/a"])
    assert "being set up" in (readiness.refusal("/a") or "")
    assert readiness.refusal("/b") is None
    assert not readiness.is_set_up
    assert readiness.unready
    assert readiness.unhealthy is None
    readiness.set_up("/a")
    assert readiness.is_set_up
    assert readiness.refusal("/a") is readiness.unready is None


def test_a_failed_set_up_is_for_ever(readiness: Readiness) -> None:
    readiness.wait_for(["/a"])
    first = SetupFailed("the first")
    readiness.fail(["/a"], first)
    readiness.fail(["/a"], SetupFailed("another"))
    assert readiness.setup_error is first
    assert readiness.setup_failed.is_set()
    assert not readiness.is_set_up
    assert "could not be set up" in (readiness.refusal("/a") or "")
    assert readiness.unready
    assert readiness.unhealthy


def test_a_drain_goes_before_all_else(readiness: Readiness) -> None:
    readiness.wait_for(["/a"])
    assert readiness.seconds_to_tear_down is None
    readiness.drain()
    left = readiness.seconds_to_tear_down
    assert left is not None
    assert 0 < left <= 31
    readiness.drain()
    again = readiness.seconds_to_tear_down
    assert again is not None
    assert again <= left
    readiness.set_up("/a")
    assert readiness.refusal("/a") == readiness.refusal("/b") == SHUTTING_DOWN
    assert not readiness.is_set_up
    assert readiness.unready == "shutting down"
    assert readiness.unhealthy is None


@pytest.mark.parametrize(
    ("stuck_for", "unready", "unhealthy"), [(0.0, False, False), (11.0, True, False), (101.0, True, True)]
)
def test_a_model_that_does_not_come_back(
    stuck_for: float, unready: bool, unhealthy: bool, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(RUNNER.line), "load", Load(1, 1, stuck_for))
    assert (readiness.unready is not None) is unready
    assert (readiness.unhealthy is not None) is unhealthy
    assert readiness.refusal("/") is None
