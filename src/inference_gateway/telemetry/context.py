"""Which request the code at hand works for."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol


class RequestIdentity(Protocol):
    """What names a request in a log line."""

    request_id: str
    route: str


# Set while a model's code runs, on its thread and in its coroutines.
working_for: ContextVar[RequestIdentity] = ContextVar("inference_gateway_request")
