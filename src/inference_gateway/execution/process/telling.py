"""What went wrong, in words: an exception of the model, and the end of its process."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Mapping
from typing import Any

from inference_gateway.errors import (
    InvalidModelOutput,
    ModelFailed,
    Refused,
    RequestCancelled,
    RequestError,
    Unavailable,
)

_RESTART_SECONDS = 10  # for a client to wait while a model is set up again


class RemoteError(Exception):
    """An exception of the model, as the traceback that its process wrote."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"in the model's process:\n{self.text}"


def told(error: BaseException) -> dict[str, Any]:
    """Return an exception as the head of a frame."""
    if isinstance(error, Refused):
        return {"error": "refused", "detail": error.detail, "status": error.status}
    cause = error.__cause__ if isinstance(error, ModelFailed) and error.__cause__ else error
    kind = "failed"
    if isinstance(error, InvalidModelOutput):
        kind = "invalid"
    elif isinstance(cause, RequestCancelled):
        kind = "cancelled"
    elif trouble := device_trouble(cause):
        kind = trouble
    return {
        "error": kind,
        "reason": error.reason if isinstance(error, InvalidModelOutput) else type(cause).__name__,
        "traceback": "".join(traceback.format_exception(cause)),
    }


def error_told(head: Mapping[str, Any]) -> RequestError:
    """Return what `told` was given, as the gateway has it: with a `RemoteError` as its cause."""
    match head["error"]:
        case "refused":
            return Refused(head["detail"], status=head["status"])
        case "invalid":
            return InvalidModelOutput(head["reason"])
        case "device memory":
            words = "the memory of the model's device is spent: try again later"
            error: RequestError = Unavailable(words, kind="device_memory", retry_after=_RESTART_SECONDS)
        case _:
            error = ModelFailed()
    error.__cause__ = RemoteError(head["traceback"])
    return error


_SPENT = ("CUDA out of memory", "CUDA error: out of memory", "OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED")
_BROKEN = ("CUDA error", "CUDA_ERROR_")


def device_trouble(error: BaseException) -> str | None:
    """Return what a framework's exception says of the device, None where it says nothing.

    "device memory": it is spent. "device error": every later call of CUDA in this process most likely fails
    as well. Known by name and words, since no framework is imported here.
    """
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    try:
        text = str(error)
    except Exception:  # of the model's own class
        return None
    if names & {"torch.OutOfMemoryError", "cupy.OutOfMemoryError"} or any(word in text for word in _SPENT):
        return "device memory"
    return "device error" if any(word in text for word in _BROKEN) else None


def in_words(status: int | None) -> str:
    """How a process ended, and the likely cause, from `waitpid`'s status."""
    if status is None:
        return "nobody knows how it ended"
    if os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        return f"it ended itself with exit code {code}: os._exit, or an exit in native code"
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name
    likely = {
        signal.SIGKILL: "it was killed; if nobody did so by hand, the kernel did, since memory was spent",
        signal.SIGSEGV: "native code used memory that is not its own; the log has the Python stack",
        signal.SIGBUS: "native code used memory that is gone, such as a mapped file that was cut",
        signal.SIGABRT: "native code gave up; its last words are in the log",
        signal.SIGFPE: "native code divided by zero",
        signal.SIGTERM: "somebody told it to end",
    }.get(number, "a signal")  # type: ignore[call-overload]
    return f"{name}: {likely}"
