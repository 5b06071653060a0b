"""A request as spans of OpenTelemetry: one for the whole, and one for each phase.

The spans of the phases are made when the request has ended, of what its record says. What a model's code may
be the child of has its id before: the gateway makes all of its ids itself. A thread of the SDK's sends them,
some at a time; it drops what it cannot send, and no request waits for it.

No attribute has anything of a request's body, nor of its path: a route's parameters are the caller's.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from inference_gateway.telemetry.context import RequestIdentity, entering
from inference_gateway.telemetry.identity import TraceContext, new_span_id
from inference_gateway.telemetry.record import Record

_SCOPE = "inference_gateway"
_NAME = "inference-gateway"
_NANOSECONDS = 1e9
_SELDOM_SECONDS = 60.0  # between two lines of the exporter, which tries again every few seconds


class Spans:
    """What records the spans of this process. `exporter`: by default OTLP over HTTP, as `OTEL_...` has it.

    A model's code has the same provider of tracers, unless it has set one of its own before.
    """

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        self._ids = _Ids()
        self._provider = TracerProvider(resource=_resource(), id_generator=self._ids, shutdown_on_exit=False)
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_Seldom())
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(_SCOPE, version("dicom-inference-gateway"))
        self._open: dict[Record, tuple[trace.Span, int]] = {}  # and its begin, in nanoseconds since 1970
        if not isinstance(trace.get_tracer_provider(), TracerProvider):
            trace.set_tracer_provider(self._provider)
        entering.append(_enter)

    def begin(self, record: Record, scheme: str) -> None:
        """Begin the span of a request. Its record then has what the sampler says, and the model's place."""
        begun = time.time_ns() - int((time.monotonic() - record.begun) * _NANOSECONDS)
        span = self._span(
            f"POST {record.route}",
            record.trace,
            context.Context() if record.parent is None else _within(record.parent),
            kind=SpanKind.SERVER,
            start_time=begun,
            attributes={
                "http.request.method": "POST",
                "http.route": record.route,
                "url.scheme": scheme,
                "gateway.request_id": record.request_id,
            },
        )
        found = span.get_span_context()
        state = found.trace_state.to_header()
        record.trace = record.trace._replace(sampled=found.trace_flags.sampled, state=state)
        record.model_trace = record.trace
        if span.is_recording():
            record.model_trace = record.trace._replace(span_id=new_span_id())
            self._open[record] = span, begun

    def request_ended(self, record: Record, /) -> None:
        """Record its phases, and end its span."""
        span, begun = self._open.pop(record, (None, 0))
        if span is None:
            return
        within, lap = trace.set_span_in_context(span, context.Context()), begun
        for phase, seconds in record.phases.items():
            own = record.model_trace if phase == "model" else record.trace._replace(span_id=new_span_id())
            end = lap + int(seconds * _NANOSECONDS)
            self._span(phase, own, within, start_time=lap, attributes=_of_phase(phase, record)).end(end)
            lap = end
        span.set_attributes(_of_end(record))
        if record.status == 0 or record.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(begun + int(record.seconds * _NANOSECONDS))

    def end(self, seconds: float) -> None:
        """Send what has not been sent, for so long at the most. Blocks."""
        self._shut_down().join(seconds)

    async def end_beside_the_loop(self, seconds: float) -> None:
        """As `end`; the event loop turns meanwhile."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def say_so() -> None:
            with suppress(RuntimeError):  # the loop has not waited for it
                loop.call_soon_threadsafe(ended.set)

        self._shut_down(say_so)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ended.wait()

    def _shut_down(self, at_end: Any = None) -> threading.Thread:
        """On a thread that keeps nobody: a receiver that hangs would, for as long as its time limit is."""

        def run() -> None:
            self._provider.shutdown()
            if at_end is not None:
                at_end()

        with suppress(ValueError):
            entering.remove(_enter)
        thread = threading.Thread(target=run, name="spans", daemon=True)
        thread.start()
        return thread

    def _span(self, name: str, own: TraceContext, within: context.Context, **of_it: Any) -> trace.Span:
        """Begin a span whose ids are those of `own`."""
        self._ids.next = own
        return self._tracer.start_span(name, within, **of_it)


class _Seldom(logging.Filter):
    """Lets a line pass where none has for a while: a receiver may be down for days."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0  # by time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _SELDOM_SECONDS
        return True


class _Ids(RandomIdGenerator):
    """Gives a span of the gateway the ids that it has; a model's own span, on any thread, gets new ones."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @property
    def next(self) -> TraceContext | None:
        """The ids of the next span of this thread."""
        found: TraceContext | None = getattr(self._of_thread, "next", None)
        return found

    @next.setter
    def next(self, own: TraceContext | None) -> None:
        self._of_thread.next = own

    def generate_trace_id(self) -> int:
        own = self.next
        return super().generate_trace_id() if own is None else int(own.trace_id, 16)

    def generate_span_id(self) -> int:
        own, self.next = self.next, None
        return super().generate_span_id() if own is None else int(own.span_id, 16)


def _resource() -> Resource:
    """Return what the environment says of the service, with a name of ours where it has none."""
    found = Resource.create()
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        own = {SERVICE_NAME: _NAME, SERVICE_VERSION: version("dicom-inference-gateway")}
        found = found.merge(Resource(own))
    return found


def _within(place: TraceContext) -> context.Context:
    """Return the context whose current span is at this place, where something else records it."""
    state = TraceState.from_header([place.state])  # well-formed: it would be logged else
    flags = TraceFlags(TraceFlags.SAMPLED if place.sampled else TraceFlags.DEFAULT)
    found = SpanContext(int(place.trace_id, 16), int(place.span_id, 16), True, flags, state)
    return trace.set_span_in_context(NonRecordingSpan(found), context.Context())


def _enter(request: RequestIdentity) -> Any:
    """Make the span of the model's call the current one; return what takes that back."""
    if request.trace is None:
        return _nothing
    token = context.attach(_within(request.trace))
    return lambda: context.detach(token)


def _nothing() -> None:
    """Take nothing back."""


def _of_phase(phase: str, record: Record) -> dict[str, Any] | None:
    batch = record.tags.get("batch") if phase == "model" else None
    return batch and {"gateway.batch": batch, "gateway.batch_size": record.tags["batch_size"]}


def _of_end(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {
        "http.request.body.size": record.received,
        "http.response.body.size": record.sent,
    }
    if record.status:
        found["http.response.status_code"] = record.status
    if record.status == 0 or record.status >= 500:
        found["error.type"] = str(record.status or "incomplete")
    return found
