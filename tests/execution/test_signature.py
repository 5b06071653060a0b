"""Which callbacks can be called with the arguments of a model."""

import functools
import operator
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from inference_gateway.errors import UnusableModel
from inference_gateway.execution.signature import check_model, check_signature

ARGUMENTS = ("json_input", "inputs", "input_hash")


def three(json_input: Any, inputs: Any, input_hash: Any) -> None: ...
def two(json_input: Any, inputs: Any) -> None: ...
def four(json_input: Any, inputs: Any, input_hash: Any, more: Any) -> None: ...
def four_with_a_default(a: Any, b: Any, c: Any, d: Any = None) -> None: ...
def all_of_them(*arguments: Any) -> None: ...
def keywords(**arguments: Any) -> None: ...
def keyword_only(json_input: Any, *, inputs: Any, input_hash: Any) -> None: ...
def one_keyword_more(a: Any, b: Any, c: Any, *, d: Any) -> None: ...
async def asynchronous(json_input: Any, inputs: Any, input_hash: Any) -> None: ...
async def asynchronous_of_two(json_input: Any, inputs: Any) -> None: ...


def generator(json_input: Any, inputs: Any, input_hash: Any) -> Iterator[None]:
    yield


async def asynchronous_generator(json_input: Any, inputs: Any, input_hash: Any) -> AsyncIterator[None]:
    yield


class Generates:
    def __call__(self, json_input: Any, inputs: Any, input_hash: Any) -> Iterator[None]:
        yield


class Model:
    def __call__(self, json_input: Any, inputs: Any, input_hash: Any) -> None: ...
    def two(self, json_input: Any, inputs: Any) -> None: ...
    @staticmethod
    def static(json_input: Any, inputs: Any, input_hash: Any) -> None: ...
    @classmethod
    def of_class(cls, json_input: Any, inputs: Any, input_hash: Any) -> None: ...


class Static:
    __call__ = staticmethod(three)


class OfClass:
    __call__ = classmethod(four)


class Nested:
    __call__ = Model()


class TwoStatic:
    __call__ = staticmethod(two)


class Forgotten:
    def __call__(json_input: Any, inputs: Any, input_hash: Any) -> None:  # noqa: N805 - the mistake
        ...


def gives_one_more(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that calls what it wraps with an argument of its own."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*arguments, "mine")

    return call


@pytest.mark.parametrize(
    "model",
    [
        *(three, four_with_a_default, all_of_them, asynchronous, lambda a, b, c: None, lambda *_: None),
        *(Model(), Model().__call__, Model.static, Model.of_class, Model().of_class),
        *(
            functools.partial(four, "x"),
            functools.partial(four, more=1),
            functools.partial(Model(), 1, 2, 3).func,
        ),
        *(Static(), OfClass(), Nested(), functools.partial(Static())),
        *(gives_one_more(four), functools.cache(three)),
        *(print, max, operator.itemgetter(1), dict, range, "{}".format),
    ],
)
def test_what_can_be_called(model: Callable[..., Any]) -> None:
    check_signature(model, "mine", *ARGUMENTS)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            two,
            "inputs: Any) -> None cannot be called as mine(json_input, inputs, input_hash)",
        ),
        (four, "'more'"),
        (keywords, "too many positional arguments"),
        (keyword_only, "too many positional arguments"),
        (one_keyword_more, "'d'"),
        (asynchronous_of_two, "too many"),
        (Model().two, "mine(json_input: Any, inputs: Any)"),
        (Model.__call__, "'input_hash'"),
        (Forgotten(), "mine(inputs: Any, input_hash: Any)"),
        (TwoStatic(), "mine(json_input: Any, inputs: Any)"),
        (functools.partial(three, 1), "too many"),
        (functools.partial(three, nothing=1), "'nothing'"),  # type: ignore[call-arg]  # the mistake
        (functools.partial(three, inputs=1), "multiple values for argument 'inputs'"),
        (generator, "mine is a generator function"),
        (asynchronous_generator, "mine is a generator function"),
        (Generates(), "mine is a generator function"),
        (functools.partial(generator), "mine is a generator function"),
        (functools.partial(Static(), 1), "too many"),
        (functools.wraps(three)(two), "too many"),
        (lambda: None, "mine() cannot be called"),
        (7, "mine is a int, which cannot be called"),
        (None, "mine is a NoneType, which cannot be called"),
    ],
)
def test_what_cannot(model: Any, says: str) -> None:
    with pytest.raises(UnusableModel) as caught:
        check_signature(model, "mine", *ARGUMENTS)
    assert says in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_without_arguments() -> None:
    check_signature(Model, "Model")
    with pytest.raises(UnusableModel, match=r"as mine\(\)"):
        check_signature(two, "mine")


def test_a_model_that_takes_batches() -> None:
    """It is called with one list, and its steps with nothing, as ever."""

    class Model:
        def __call__(self, requests: Any) -> Any:
            return []

        def setup(self, weights: Any) -> None:
            """Cannot be called."""

    check_model(Model.__call__.__get__(object()), "model", batches=True)
    with pytest.raises(UnusableModel, match=r"model\(json_input, inputs, input_hash\)"):
        check_model(Model.__call__.__get__(object()), "model")
    with pytest.raises(UnusableModel, match=r"model\.setup"):
        check_model(Model(), "model", batches=True)
