"""Which request the code at hand works for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

entering: list[Callable[[RequestIdentity], Callable[[], object]]] = []
"""What is called, besides, where code begins to work for a request; each returns what takes that back.

Where spans are recorded, this gives the model's code the span of its call as the current one.
"""


def work_for(request: RequestIdentity) -> None:
    """Note that the code of this context works for `request`, from now on."""
    working_for.set(request)
    for enter in entering:
        enter(request)


@contextmanager
def about(request: RequestIdentity) -> Iterator[None]:
    """Have the code of the block work for `request`; its log lines name it."""
    token = working_for.set(request)
    left = [enter(request) for enter in entering]
    try:
        yield
    finally:
        for leave in left:
            leave()
        working_for.reset(token)
