"""Models whose own code records spans, on a thread and in a process, for the tests of tracing."""

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry import trace

from inference_gateway import Request, current_request

log = logging.getLogger("the.model")


def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    with trace.get_tracer("the.model").start_as_current_span("of the model"):
        log.info("a line of the model")
    request = current_request()
    assert request.trace is not None
    return {"traceparent": request.trace.traceparent}


async def asynchronous(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    return model(json_input, inputs, input_hash)


def batches(requests: list[Request]) -> Any:
    return [model(None, [], "") for _ in requests]


def failing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    raise ValueError(str(json_input))
