"""Records as spans, by the SDK itself; `faults/test_tracing` has a server and a receiver."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.telemetry.context import about, entering, work_for
from inference_gateway.telemetry.identity import TraceContext
from inference_gateway.telemetry.record import Record

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is missing")

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from inference_gateway.telemetry.spans import Spans, _Seldom

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True, "vendor=1")


class Kept(SpanExporter):
    """Keeps what is exported."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


class Recording:
    """A recorder of spans whose exporter keeps them."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.spans = Spans(self.kept)

    def run(self, parent: TraceContext | None = None, status: int = 200) -> Record:
        trace_id = parent.trace_id if parent else "ab" * 16
        record = Record("id-1", "/a", [self.spans], TraceContext(trace_id, "cd" * 8), parent)
        self.spans.begin(record, "https")
        for phase in ("upload", "queue", "model"):
            record.phase(phase)
        record.status = status
        record.end()
        return record

    def end(self) -> dict[str, Any]:
        """Each span by its name."""
        self.spans.end(30.0)
        return {span.name: span for span in self.kept.spans}


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    for name in ("OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    found = Recording()
    yield found
    found.spans.end(30.0)


def identifier(span: Any) -> str:
    return f"{span.context.span_id:016x}"


def test_the_ids_are_those_of_the_record(recording: Recording) -> None:
    record = recording.run(PARENT)
    found = recording.end()
    assert found.keys() == {"POST /a", "upload", "queue", "model"}
    assert {f"{span.context.trace_id:032x}" for span in found.values()} == {PARENT.trace_id}
    root = found["POST /a"]
    assert (identifier(root), root.parent.span_id) == (record.span_id, int(PARENT.span_id, 16))
    assert {found[phase].parent.span_id for phase in record.phases} == {root.context.span_id}
    assert identifier(found["model"]) == record.model_trace.span_id != record.span_id
    assert record.trace == TraceContext(PARENT.trace_id, "cd" * 8, True, "vendor=1")
    assert root.resource.attributes["service.name"] == "inference-gateway"
    assert root.attributes["url.scheme"] == "https"


def test_a_request_without_a_caller_begins_a_trace(recording: Recording) -> None:
    record = recording.run()
    root = recording.end()["POST /a"]
    assert root.parent is None
    assert f"{root.context.trace_id:032x}" == record.trace_id == "ab" * 16
    assert record.trace.sampled


def test_a_caller_that_does_not_record_is_obeyed(recording: Recording) -> None:
    record = recording.run(PARENT._replace(sampled=False))
    assert recording.end() == {}
    assert (record.trace.sampled, record.model_trace) == (False, record.trace)


def test_the_sampler_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    recording = Recording()
    assert recording.run(PARENT).trace.sampled is False
    assert recording.end() == {}


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, None), (413, None), (422, None), (500, "500"), (503, "503"), (0, "incomplete")],
)
def test_what_is_an_error(status: int, error: str | None, recording: Recording) -> None:
    recording.run(status=status)
    root = recording.end()["POST /a"]
    assert root.attributes.get("error.type") == error
    assert root.status.is_ok is (error is None)
    assert root.attributes.get("http.response.status_code") == (status or None)


def test_code_that_works_for_a_request_is_within_its_span(recording: Recording) -> None:
    """For good in a context of its own, or for a block; a span that it begins has another id."""
    request = CurrentRequest("id-1", "/a", trace=PARENT, loop=None)  # type: ignore[arg-type]
    tracer = trace.get_tracer("a model's")

    def current() -> tuple[int, int]:
        found = trace.get_current_span().get_span_context()
        return found.trace_id, found.span_id

    own = contextvars.copy_context()
    own.run(work_for, request)
    inside = int(PARENT.trace_id, 16), int(PARENT.span_id, 16)
    assert own.run(current) == inside
    assert current() == (0, 0)
    with about(request):
        assert current() == inside
        assert tracer.start_span("s").get_span_context().trace_id == inside[0]
    assert current() == (0, 0)
    with about(CurrentRequest("setup", "/a", loop=None)):  # type: ignore[arg-type]
        assert current() == (0, 0)


def test_a_span_on_another_thread_takes_no_id_of_the_gateways(recording: Recording) -> None:
    ids = recording.spans._ids
    ids.next = PARENT
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(ids.generate_span_id()))
    thread.start()
    thread.join()
    assert found != [int(PARENT.span_id, 16)]
    assert ids.generate_trace_id() == int(PARENT.trace_id, 16)
    assert ids.generate_span_id() == int(PARENT.span_id, 16)
    assert ids.generate_span_id() != int(PARENT.span_id, 16)


def test_nothing_is_entered_after_the_end() -> None:
    before = len(entering)
    recording = Recording()
    assert len(entering) == before + 1
    recording.end()
    recording.end()
    assert len(entering) == before


async def test_the_end_waits_no_longer_than_it_may(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()
    monkeypatch.setattr(recording.spans._provider, "shutdown", may_end.wait)
    await recording.spans.end_beside_the_loop(0.01)
    await asyncio.to_thread(recording.spans.end, 0.01)
    may_end.set()
    await recording.spans.end_beside_the_loop(30.0)


def test_an_exporter_that_fails_for_long_says_so_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1000.0, 1001.0, 1059.0, 1060.0, 1061.0])
    monkeypatch.setattr("inference_gateway.telemetry.spans.time", SimpleNamespace(monotonic=times.__next__))
    seldom, line = _Seldom(), logging.makeLogRecord({})
    assert [seldom.filter(line) for _ in range(5)] == [True, False, False, True, False]
