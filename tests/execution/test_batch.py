"""One call for several requests: what it gives for each, and what fails it as a whole."""

from collections.abc import Sequence
from typing import Any

import pytest

from inference_gateway import Request
from inference_gateway.errors import InvalidModelOutput, ModelFailed, Refused
from inference_gateway.execution.batch import call_together


async def requests(count: int) -> list[Request]:
    return [Request(str(number), "/", json_input=number) for number in range(count)]


def check(result: Any, inputs: Sequence[Any]) -> str:
    if result == "misfit":
        raise InvalidModelOutput("it does not fit")
    if result == "raises":
        raise ValueError("in its elements")
    return f"checked {result}"


async def test_each_result_is_checked() -> None:
    found = call_together(lambda given: [each.json_input for each in given], check, await requests(3))
    assert found == ["checked 0", "checked 1", "checked 2"]


async def test_a_result_that_fails_is_its_requests_own() -> None:
    error = KeyError("what the model found")
    found = call_together(lambda _: ("fine", error, "misfit", "raises"), check, await requests(4))
    assert found[0] == "checked fine"
    assert [type(each) for each in found[1:]] == [ModelFailed, InvalidModelOutput, ModelFailed]
    assert found[1].__cause__ is error
    assert found[2].reason == "it does not fit"
    assert isinstance(found[3].__cause__, ValueError)


async def test_one_of_them_may_be_refused() -> None:
    refused = Refused("too few slices")
    assert call_together(lambda _: ["fine", refused], check, await requests(2)) == ["checked fine", refused]
    with pytest.raises(Refused):
        call_together(_refuse, check, await requests(1))


def _refuse(_: list[Request]) -> Any:
    raise Refused("none of them")


async def test_a_result_is_held_against_its_own_inputs() -> None:
    given = await requests(2)
    for number, each in enumerate(given):
        each.inputs = [number]

    def model(batch: list[Request]) -> Any:
        for each in batch:
            each.inputs.clear()
        return ["a", "b"]

    assert call_together(model, lambda result, inputs: (result, inputs), given) == [("a", (0,)), ("b", (1,))]


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (None, "a NoneType, not a list"),
        ({}, "a dict, not a list"),
        ([], "0 results for 2 requests"),
        ([1, 2, 3], "3 results for 2 requests"),
        (iter([1, 2]), "iterator, not a list"),
    ],
)
async def test_a_call_gives_a_result_for_each(returned: Any, reason: str) -> None:
    with pytest.raises(InvalidModelOutput) as raised:
        call_together(lambda _: returned, check, await requests(2))
    assert reason in raised.value.reason


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(), StopIteration()])
async def test_a_call_that_raises_fails_as_a_whole(error: BaseException) -> None:
    def model(_: list[Request]) -> Any:
        raise error

    with pytest.raises(ModelFailed) as raised:
        call_together(model, check, await requests(2))
    assert raised.value.__cause__ is error


async def test_the_model_may_change_its_list() -> None:
    """The list is its own: the results still go to the requests that came."""

    def model(given: list[Request]) -> Any:
        results = [each.json_input for each in given]
        given.clear()
        return results

    assert call_together(model, check, await requests(2)) == ["checked 0", "checked 1"]
