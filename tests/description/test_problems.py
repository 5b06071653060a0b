"""Every error that becomes an answer is told, with its status and type."""

from inference_gateway import errors
from inference_gateway.description.problems import problem_kinds


def test_every_error_with_a_status_is_told_once() -> None:
    told = [kind.error for kind in problem_kinds()]
    there = {
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, errors.RequestError)
        and value is not errors.RequestError
    }
    assert len(told) == len(set(told))
    assert set(told) == there


def test_what_is_told_is_that_of_the_error() -> None:
    for kind in problem_kinds():
        assert (kind.status, kind.type) == (kind.error.status, kind.error.type)
        assert kind.says_when == (kind.status == 503)
        assert kind.meaning
        assert not kind.meaning.endswith((".", ";"))
        assert "\n" not in kind.meaning
    assert [kind.status for kind in problem_kinds()] == sorted(kind.status for kind in problem_kinds())


def test_an_error_of_an_application_is_not_told() -> None:
    class OfTheApplication(errors.Refused):
        """Of somebody else."""

    assert OfTheApplication not in [kind.error for kind in problem_kinds()]
