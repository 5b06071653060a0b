"""What an operator reads of a request that failed: whose fault it was, and why. And what its author reads."""

from __future__ import annotations

import logging
import traceback

from inference_gateway.errors import (
    ClientDisconnected,
    GatewayError,
    InvalidModelOutput,
    ModelCrashed,
    ModelError,
    ModelTimeout,
    Refused,
    RequestError,
    ResponseCut,
)
from inference_gateway.telemetry.families import REFUSALS
from inference_gateway.telemetry.record import Record
from inference_gateway.telemetry.stacks import traceback_of


def log_failure(record: Record, error: Exception) -> None:
    """Write the line; with the traceback where the model or the gateway is to blame."""
    log = record.log
    match error:
        case ClientDisconnected():
            log.info("the client left")
        case Refused():
            log.info("refused by the model: status %d", error.status)  # the sentence is for the client only
        case InvalidModelOutput():
            log.error("the model's result does not fit the wire contract: %s", error.reason)
        case ModelCrashed():
            log.error("the model's process ended: %s", error.reason)
        case ModelError():
            log.error("the model failed", exc_info=error.__cause__)
        case ModelTimeout():
            where = f"; its call was here, innermost frame first:\n{error.stack}" if error.stack else ""
            log.error("the model did not finish within its time limit%s", where)
        case RequestError():
            log.log(logging.INFO if error.status < 500 else logging.WARNING, "refused: %s", error.detail)
        case ResponseCut():
            log.warning("the answer was cut: %s", error)
        case _:
            log.error("an error of the gateway itself", exc_info=error)


def failure_of(error: Exception, *, answering: bool) -> str:
    """Return the word by which metrics count it. What refuses a request cuts it once the answer has begun."""
    kind = error.kind if isinstance(error, GatewayError) else GatewayError.kind
    return ResponseCut.kind if answering and kind in REFUSALS else kind


_MOST = 5_000  # characters, each of which may take twelve bytes: a client reads problems of 64 KiB


def told_to_author(error: Exception) -> str | None:
    """Return what the model's author wants to know of an error, None where it is a client's or a refusal.

    The traceback, the faults of the answer, or where the call hung; the end of it where it is long. Lets go
    of the error.
    """
    match error:
        case InvalidModelOutput() | ModelCrashed():
            told = error.reason
        case ModelTimeout():
            told = f"Its call was here, innermost frame first:\n{error.stack}"
        case ModelError():
            told = traceback_of(error.__cause__ or error)
        case RequestError() | ClientDisconnected() | ResponseCut():
            told = ""
        case _:
            told = "".join(traceback.format_exception(error))
    forget(error)
    return told[-_MOST:].rstrip() or None


def forget(error: BaseException) -> None:
    """Drop the tracebacks of an error and of what led to it.

    Their frames hold all of a request. Where a frame holds the error as well, as a model's may, only the
    garbage collector would find them.
    """
    to_do: list[BaseException | None] = [error]
    seen: set[int] = set()
    while to_do:
        found = to_do.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            found.__traceback__ = None
            to_do += [found.__cause__, found.__context__]
            if isinstance(found, BaseExceptionGroup):
                to_do += found.exceptions
