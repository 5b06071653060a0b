"""A model by its name."""

import functools

import pytest

from inference_gateway import Gateway
from inference_gateway.errors import UnusableModel
from inference_gateway.execution.target import load, target_of
from tests.execution import callbacks

app = Gateway()


def test_a_function_is_found_again() -> None:
    target = target_of(callbacks.asynchronous)
    assert target == "tests.execution.callbacks:asynchronous"
    assert load(target) is callbacks.asynchronous


def test_a_class_is_made_an_instance() -> None:
    assert isinstance(load(target_of(callbacks.Asked)), callbacks.Asked)


def test_a_name_stays_as_it_is() -> None:
    assert target_of("my_model:model") == "my_model:model"


@pytest.mark.parametrize(
    "model",
    [lambda *_: {}, callbacks.Asked(), functools.partial(callbacks.asynchronous)],
    ids=["lambda", "instance", "partial"],
)
def test_what_has_no_name_is_refused(model: object) -> None:
    with pytest.raises(ValueError, match="another process cannot import"):
        target_of(model)


def test_an_application_is_no_model() -> None:
    with pytest.raises(UnusableModel, match="is an application, not a model"):
        load("tests.execution.test_target:app")


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="nowhere"):
        load("tests.execution.callbacks:nowhere")
