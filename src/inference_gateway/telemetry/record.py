"""What is known of one request, and who hears of it when it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Protocol

from inference_gateway.telemetry.identity import TraceContext, new_request_id, new_span_id
from inference_gateway.telemetry.logs import logger
from inference_gateway.telemetry.tagged_logger import TaggedLogger


class Observer(Protocol):
    """What hears of each request that has ended: metrics, log lines. Called on the loop: must not block."""

    def request_ended(self, record: Record, /) -> None:
        """Hear that the request is over, however it went: `record` is complete."""
        ...


class Record:
    """What is known of one inference request; tells its observers when it has ended.

    `status` 0: no answer, or none that was whole. `failure`: why there is no result, one of `REFUSALS` or
    `FAILURES`, empty where there is one. `received`, `sent`: bytes of the two bodies; `received_parts`,
    `sent_parts`: of those that were whole. `phases`: seconds of each phase that has ended; each begins where
    the one before has ended, the first at `begun`, by `time.monotonic()`. `seconds`: of the whole, once it
    has ended.

    `request_id`, `trace_id`, `span_id`: as each log line about the request has them, the span that of the
    request as a whole. `trace`: the place in a trace that the two name; `parent`: the caller's, where it gave
    one; `model_trace`: that of the model's call, where spans are recorded, else the same as `trace`.
    `caller_subject`, `caller_key`: of the
    client's certificate, and the first digits of the digest of its API key, where the gateway asked for them.
    """

    def __init__(
        self,
        request_id: str,
        route: str,
        observers: Iterable[Observer] = (),
        trace: TraceContext | None = None,
        parent: TraceContext | None = None,
    ) -> None:
        self.request_id = request_id
        self.trace = trace = trace or TraceContext(new_request_id(), new_span_id())
        self.model_trace = trace
        self.parent = parent
        self.route = route
        self.status = 0
        self.failure = ""
        self.received = 0
        self.sent = 0
        self.received_parts = 0
        self.sent_parts = 0
        self.caller_subject: str | None = None
        self.caller_key: str | None = None
        self.seconds = 0.0
        self.phases: dict[str, float] = {}
        self.tags: dict[str, Any] = {
            "request_id": request_id,
            "http.route": route,
            "trace_id": trace.trace_id,
            "span_id": trace.span_id,
        }
        self._observers = observers
        self.begun = self._lap = time.monotonic()

    @property
    def trace_id(self) -> str:
        """Return the id of its trace, 32 hexadecimal digits."""
        return self.trace.trace_id

    @property
    def span_id(self) -> str:
        """Return the id of its span, 16 hexadecimal digits."""
        return self.trace.span_id

    @property
    def log(self) -> TaggedLogger:
        """For the lines about this request."""
        log = TaggedLogger(logger)
        log.add_tags(self.tags)
        return log

    def phase(self, name: str, end: float | None = None) -> None:
        """Phase `name` has ended: at `end`, by `time.monotonic()`, or now."""
        end = time.monotonic() if end is None else end
        self.phases[name] = end - self._lap
        self._lap = end

    @property
    def server_timing(self) -> bytes:
        """The value of `Server-Timing` (W3C Server Timing §3): milliseconds of the phases that have ended.

        Always with `total`, what has passed since the request's header came.
        """
        told = [b"%s;dur=%.3f" % (name.encode(), seconds * 1000) for name, seconds in self.phases.items()]
        return b", ".join((*told, b"total;dur=%.3f" % ((time.monotonic() - self.begun) * 1000)))

    def end(self) -> None:
        """Note that the request has ended, and tell the observers."""
        self.seconds = time.monotonic() - self.begun
        for observer in self._observers:
            observer.request_ended(self)
