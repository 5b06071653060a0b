"""What an operator reads of a request that failed."""

import gc
import json
import weakref

import pytest

from inference_gateway.app.failures import failure_of, forget, log_failure, told_to_author
from inference_gateway.errors import (
    ClientDisconnected,
    InvalidModelOutput,
    LimitExceeded,
    ModelCrashed,
    ModelFailed,
    ModelTimeout,
    Refused,
    ResponseCut,
    Unavailable,
)
from inference_gateway.telemetry.record import Record
from tests.harness.log import LogCapture


def failed() -> ModelFailed:
    try:
        raise ModelFailed from ValueError("its own words")
    except ModelFailed as error:
        return error


@pytest.mark.parametrize(
    ("error", "level", "says"),
    [
        (failed(), "ERROR", "the model failed\n"),
        (InvalidModelOutput("2 elements"), "ERROR", "the model's result does not fit the wire contract: 2"),
        (ModelTimeout('  File "x", line 3, in y'), "ERROR", "time limit; its call was here"),
        (ModelTimeout(), "ERROR", "the model did not finish within its time limit"),
        (LimitExceeded(), "INFO", "refused: the request is over a limit"),
        (Unavailable("the queue is full"), "WARNING", "refused: the queue is full"),
        (ClientDisconnected("left"), "INFO", "the client left"),
        (ResponseCut("took nothing"), "WARNING", "the answer was cut: took nothing"),
        (KeyError("k"), "ERROR", "an error of the gateway itself\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_whose_fault_it_was(error: Exception, level: str, says: str, log: LogCapture) -> None:
    log_failure(Record("id-1", "/a"), error)
    [line] = log.lines
    assert line.startswith(f"{level} inference_gateway ")
    assert '"request_id": "id-1"' in line
    assert f" - {says}" in line or f"the model did not finish within its {says}" in line
    assert ("refused" in line) is says.startswith("refused")


@pytest.mark.parametrize(
    ("error", "before", "once_answering"),
    [
        (failed(), "model_failed", "model_failed"),
        (ModelTimeout(), "model_timeout", "model_timeout"),
        (Refused("too few slices"), "model", "answer_cut"),
        (Unavailable("busy", kind="queue_full"), "queue_full", "answer_cut"),
        (ClientDisconnected("left"), "client_left", "client_left"),
        (KeyError("k"), "gateway_error", "gateway_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_metrics_count_it_as(error: Exception, before: str, once_answering: str) -> None:
    assert failure_of(error, answering=False) == before
    assert failure_of(error, answering=True) == once_answering


def test_the_models_own_traceback_is_there(log: LogCapture) -> None:
    log_failure(Record("id-1", "/a"), failed())
    assert "ValueError: its own words" in log.lines[0]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (failed(), "ValueError: its own words"),
        (ModelFailed(), "inference_gateway.errors.ModelFailed: the model failed: its operator"),
        (InvalidModelOutput("2 elements"), "2 elements"),
        (ModelCrashed("SIGKILL"), "SIGKILL"),
        (ModelTimeout('  File "x", line 3, in y'), 'Its call was here, innermost frame first:\n  File "x"'),
        (KeyError("k"), "KeyError: 'k'"),
        (Refused("not this one"), None),
        (LimitExceeded(), None),
        (Unavailable("the queue is full"), None),
        (ClientDisconnected("left"), None),
        (ResponseCut("took nothing"), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_the_author_is_told(error: Exception, told: str | None) -> None:
    found = told_to_author(error)
    assert error.__traceback__ is None
    if told is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(told)


def test_of_a_long_traceback_the_end_is_told() -> None:
    error = ModelFailed()
    error.__cause__ = ValueError("é" * 100_000 + " the end")
    found = told_to_author(error)
    assert found is not None
    assert found.endswith(" the end")
    assert len(json.dumps(found)) < 64 << 10  # what a client reads of a problem


def test_a_forgotten_error_keeps_nothing() -> None:
    class Held:
        pass

    held = Held()
    seen = weakref.ref(held)

    def fail(held: Held, depth: int) -> None:
        first = None
        try:
            if depth:
                fail(held, depth - 1)
            raise ValueError(depth)
        except ValueError as error:
            first = error  # the frame holds the error, which holds the frame
        raise ExceptionGroup("two", [RuntimeError("b"), first]) from first

    gc.disable()
    try:
        try:
            fail(held, 2)
        except ExceptionGroup as error:
            forget(error)
        del held
        assert seen() is None
    finally:
        gc.enable()
