"""Which request the code at hand works for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from inference_gateway.telemetry.identity import TraceContext


class RequestIdentity(Protocol):
    """What names a request in a log line."""

    request_id: str
    route: str
    trace: TraceContext | None


# Set while a model's code runs, on its thread and in its coroutines.
working_for: ContextVar[RequestIdentity] = ContextVar("inference_gateway_request")


@contextmanager
def about(request: RequestIdentity) -> Iterator[None]:
    """Have the log lines of the block name `request`."""
    token = working_for.set(request)
    try:
        yield
    finally:
        working_for.reset(token)
