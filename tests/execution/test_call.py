"""What a model's exceptions become."""

import asyncio

import pytest

from inference_gateway.errors import (
    InvalidModelOutput,
    ModelFailed,
    ModelTimeout,
    RequestCancelled,
    Unavailable,
)
from inference_gateway.execution.call import guarded
from tests.harness.turns import LIMIT, runner, turn


async def test_a_models_own_timeout_error_is_a_failure_of_the_model() -> None:
    def fail() -> None:
        raise TimeoutError("the model's own")

    with pytest.raises(ModelFailed) as failure:
        await turn(runner(timeout=LIMIT).slot("r"), guarded, fail)
    assert isinstance(failure.value.__cause__, TimeoutError)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("v"),
        StopIteration(1),
        StopAsyncIteration(),
        SystemExit(0),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        ModelTimeout(),
        Unavailable(),
        RequestCancelled(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_model_raises_is_its_failure(error: BaseException) -> None:
    model = runner()

    def fail() -> None:
        raise error

    with pytest.raises(ModelFailed) as failure:
        await asyncio.wait_for(turn(model.slot("r"), guarded, fail), LIMIT)
    assert failure.value.__cause__ is error
    assert await turn(model.slot("r"), guarded, lambda: "still works") == "still works"


def test_a_result_that_does_not_fit_stays_what_it_is() -> None:
    def refuse() -> None:
        raise InvalidModelOutput("reason")

    with pytest.raises(InvalidModelOutput):
        guarded(refuse)
