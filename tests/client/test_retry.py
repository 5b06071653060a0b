"""What may be tried again: never where the model may have run, unless it was asked for."""

from typing import Any

import pytest
import tenacity

from inference_gateway.client.retry import RetryPolicy
from inference_gateway.errors import (
    BrokenAnswer,
    CutAnswer,
    GatewayUnreachable,
    HashMismatch,
    Overloaded,
    ProblemAnswer,
)

NOT_SENT = GatewayUnreachable("refused", sent=False)
LATER = Overloaded(503, "later", retry_after=2)
SAFE: list[BaseException] = [NOT_SENT, LATER, Overloaded(503, "later")]
MAYBE_RUN: list[BaseException] = [
    *(GatewayUnreachable("lost"), BrokenAnswer(), CutAnswer(), HashMismatch()),
    *(ProblemAnswer(502, ""), ProblemAnswer(504, "")),
]
HOPELESS: list[BaseException] = [
    *(ProblemAnswer(status, "") for status in (400, 404, 408, 413, 415, 500, 507)),
    *(ValueError(), OSError(), KeyboardInterrupt()),
]


@pytest.mark.parametrize("error", [*SAFE, *MAYBE_RUN, *HOPELESS], ids=repr)
def test_what_may_be_tried_again(error: BaseException) -> None:
    assert RetryPolicy().allows(error) == (error in SAFE)
    assert RetryPolicy(rerun=True).allows(error) == (error not in HOPELESS)


def test_a_wait_that_is_too_long() -> None:
    assert RetryPolicy(longest_wait=2).allows(LATER)
    assert not RetryPolicy(longest_wait=1.9).allows(LATER)
    assert RetryPolicy(longest_wait=0).allows(NOT_SENT)


def run(policy: RetryPolicy, *errors: BaseException) -> tuple[list[float], Any]:
    """The waits between calls that fail with these errors in turn, and what came of it."""
    left = list(errors)
    waits: list[float] = []

    def fail() -> str:
        if left:
            raise left.pop(0)
        return "done"

    try:
        result: Any = tenacity.Retrying(**policy.options(), sleep=waits.append)(fail)
    except BaseException as error:
        result = error
    return waits, result


def test_it_waits_as_it_was_asked() -> None:
    assert run(RetryPolicy(backoff=0), LATER, NOT_SENT) == ([2, 0], "done")


def test_the_spread_is_added_and_grows() -> None:
    policy = RetryPolicy(attempts=4, backoff=10)
    waits = [run(policy, LATER, NOT_SENT, NOT_SENT)[0] for _ in range(50)]
    first, second, third = (list(each) for each in zip(*waits, strict=True))
    assert 2 <= min(first) < max(first) <= 12
    assert 0 <= min(second) < max(second) <= 20
    assert 20 < max(third) <= 40


def test_the_last_error_is_raised() -> None:
    assert run(RetryPolicy(backoff=0), NOT_SENT, LATER, NOT_SENT) == ([0, 2], NOT_SENT)
    assert run(RetryPolicy(attempts=1), LATER) == ([], LATER)
    lost = MAYBE_RUN[0]
    assert run(RetryPolicy(), lost) == ([], lost)
