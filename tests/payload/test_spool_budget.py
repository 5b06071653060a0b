"""The room that all spools share."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from inference_gateway.errors import InsufficientStorage
from inference_gateway.payload.spool_budget import SpoolBudget


def test_takes_up_to_its_quota() -> None:
    budget = SpoolBudget(10)
    budget.take(4)
    budget.take(6)
    with pytest.raises(InsufficientStorage):
        budget.take(1)
    assert budget.used == 10
    budget.give_back(4)
    with pytest.raises(InsufficientStorage):
        budget.take(5)
    budget.take(4)
    assert budget.used == 10


def test_without_a_quota_there_is_no_end() -> None:
    budget = SpoolBudget()
    budget.take(1 << 60)
    budget.take(1)
    assert budget.used == (1 << 60) + 1


def test_threads_take_and_give_back_at_once() -> None:
    budget = SpoolBudget(1000)

    def use(_: int) -> None:
        for _ in range(500):
            budget.take(100)
            budget.give_back(100)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(8)))
    assert budget.used == 0
