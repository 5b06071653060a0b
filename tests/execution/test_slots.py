"""Slots that routes share."""

import pytest

from inference_gateway import Gateway, Slots
from tests.execution import callbacks


def test_as_many_as_devices() -> None:
    assert Slots(devices=["cuda:0", "cuda:1"]).devices == ["cuda:0", "cuda:1"]
    assert Slots(3).devices == [None] * 3


def test_there_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Slots(0)


def test_slots_say_how_many_calls_run_at_once() -> None:
    with pytest.raises(ValueError, match="either slots"):
        Gateway().add_inference_route("/", callbacks.Asked, slots=Slots(), concurrency=2)
