"""The tree of errors: drawn as it is, and each refusal mapped to an answer."""

import inspect
import json
import re
from http import HTTPStatus
from typing import get_args

import pytest

from inference_gateway import errors
from inference_gateway.answer.problem import Problem
from inference_gateway.errors import (
    ClientError,
    GatewayError,
    InvalidModelOutput,
    ModelCrashed,
    ModelError,
    ModelTimeout,
    NotNow,
    Overloaded,
    ProblemAnswer,
    Refused,
    RequestError,
    Unavailable,
)
from inference_gateway.telemetry.families import FAILURES, REFUSALS

TYPES = {
    ModelCrashed: "urn:inference-gateway:model-crashed",
    Refused: "urn:inference-gateway:refused",
}

STATUSES = {
    "BadRequest": 400,
    "InvalidContentType": 400,
    "MalformedMultipart": 400,
    "InvalidRootPart": 400,
    "Unauthorized": 401,
    "UploadTimeout": 408,
    "LimitExceeded": 413,
    "UnsupportedEncoding": 415,
    "Refused": 422,
    "ModelError": 500,
    "ModelFailed": 500,
    "InvalidModelOutput": 500,
    "ModelCrashed": 500,
    "Unavailable": 503,
    "ModelTimeout": 504,
    "InsufficientStorage": 507,
}


def below(cls: type[GatewayError]) -> list[type[GatewayError]]:
    """The classes of this package under `cls`, at any depth."""
    own = [child for child in cls.__subclasses__() if child.__module__ == errors.__name__]
    return [each for child in own for each in (child, *below(child))]


def made(cls: type[RequestError]) -> RequestError:
    if cls is Refused:
        return Refused(Refused.sentence)
    return cls("element 0 is a str") if cls in (InvalidModelOutput, ModelCrashed) else cls()


refusals = pytest.mark.parametrize("cls", below(RequestError))


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in inspect.cleandoc(errors.__doc__ or "").split("```")[1].strip().splitlines():
        match = re.match(r"([│├└─ ]*)(\w+)", line)
        assert match
        depth = len(match[1]) // 4
        path[depth:] = [match[2]]
        drawn[match[2]] = path[depth - 1] if depth else None
    real: dict[str, str | None] = {"GatewayError": None}
    real |= {cls.__name__: cls.__mro__[1].__name__ for cls in below(GatewayError)}
    assert drawn == real


def test_every_error_of_the_module_is_in_the_tree() -> None:
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)]
    assert set(classes) == {GatewayError, *below(GatewayError)}
    assert len(classes) > len(STATUSES)


def test_every_refusal_has_the_status_of_the_contract() -> None:
    assert {
        cls.__name__: cls.status for cls in below(RequestError) if issubclass(cls, RequestError)
    } == STATUSES


def test_statuses_are_drawn_beside_the_names() -> None:
    drawn = dict(re.findall(r"── (\w+) +(\d{3})\b", errors.__doc__ or ""))
    assert drawn.pop("Overloaded") == "503"
    assert {name: int(status) for name, status in drawn.items()}.items() <= STATUSES.items()
    assert set(drawn.values()) == {str(status) for status in STATUSES.values()}


@refusals
def test_every_refusal_has_one_public_sentence(cls: type[RequestError]) -> None:
    error = made(cls)
    assert error.detail == cls.sentence == str(error)
    assert error.detail.strip() == error.detail != ""
    assert "\n" not in error.detail
    assert "element 0" not in error.detail


@pytest.mark.wire("errors: problem+json")
@refusals
def test_every_refusal_becomes_a_problem(cls: type[RequestError]) -> None:
    error = made(cls)
    problem = Problem.of(error, "id-1")
    assert problem.status == cls.status
    document = json.loads(problem._body)
    assert document == {
        "type": TYPES.get(cls, "about:blank"),
        "title": cls.title or HTTPStatus(cls.status).phrase,
        "status": cls.status,
        "detail": error.detail,
        "request_id": "id-1",
    }
    assert (b"retry-after" in dict(problem._headers)) == (cls.status == 503)
    assert (dict(problem._headers).get(b"www-authenticate") == b"Bearer") == (cls.status == 401)


@pytest.mark.parametrize(
    "cls", [cls for cls in below(RequestError) if not issubclass(cls, ModelError | ModelTimeout)]
)
def test_a_sentence_of_its_own_goes_before_that_of_the_class(cls: type[RequestError]) -> None:
    error = cls("what happened: what to do")
    assert error.detail == str(error) == "what happened: what to do"


def test_an_invalid_model_output_keeps_its_reason_for_the_log() -> None:
    error = InvalidModelOutput("element 0 is a str")
    assert error.reason == "element 0 is a str"
    assert error.detail == ModelError.sentence


@pytest.mark.parametrize(
    ("error", "seconds"), [(Unavailable(), b"2"), (Unavailable("x", retry_after=7), b"7")]
)
def test_unavailable_says_when_to_try_again(error: Unavailable, seconds: bytes) -> None:
    assert dict(Problem.of(error, "id")._headers)[b"retry-after"] == seconds


def test_what_the_client_raises_tells_what_the_gateway_said() -> None:
    problem = ProblemAnswer(413, "too large", "id-1")
    assert (problem.status, problem.detail, problem.request_id) == (413, "too large", "id-1")
    assert str(problem) == "413: too large"
    overloaded = Overloaded(503, "later", retry_after=2.0)
    assert (overloaded.status, overloaded.request_id, overloaded.retry_after) == (503, None, 2.0)
    assert Overloaded(503, "later").retry_after is None


def test_metrics_have_a_word_for_every_error() -> None:
    """A refusal where nothing has failed; what is 500 or 504 has."""
    ends = [cls for cls in below(GatewayError) if not issubclass(cls, ClientError)]
    assert {cls.kind for cls in ends} <= REFUSALS.keys() | FAILURES.keys()
    for cls in ends:
        if issubclass(cls, RequestError) and cls not in (RequestError, Unavailable):
            error = made(cls)
            assert (error.kind in FAILURES) is (error.status in (500, 504)), cls


def test_metrics_have_a_word_for_everything_that_is_unavailable() -> None:
    told = {word for word, when in REFUSALS.items() if when.startswith("503: ")}
    assert told == set(get_args(NotNow))
    assert Unavailable(kind="queue_full").kind == "queue_full"
