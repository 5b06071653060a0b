"""Spans of a real server, as a real receiver gets them; and what happens where there is none."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.process import Process, serve_command
from tests.harness.raw import Answer, exchange, request
from tests.harness.waiting import until
from tests.harness.wire import decoded, message, part

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is missing")

from tests.harness.otlp import OtlpReceiver, ReceivedSpan, otlp_receiver

pytestmark = pytest.mark.slow

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
ROOT = Path(__file__).parents[2]
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PHASES = ["upload", "queue", "model", "answer"]
NEVER = 10**8  # milliseconds: nothing is sent before the end


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as found:
        yield found


def serve(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
    target: str = "tests.faults.traced_app:app",
    **variables: object,
) -> Process:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    for name, value in {"BSP_SCHEDULE_DELAY": NEVER, **variables}.items():
        monkeypatch.setenv(f"OTEL_{name}", str(value))
    return Process(
        ROOT,
        serve_command(target),
        spool_dir=folder,
        log_format="json",
        validate="off",
        audit_dir=folder / "audit",
    )


def ask(process: Process, path: str, *headers: str) -> Answer:
    fields = tuple(tuple(each.encode() for each in header.split(": ", 1)) for header in headers)
    sent = request((*TYPE, *fields), message(part(b'{"patient": "SECRET"}')), target=path.encode())  # type: ignore[arg-type]
    until(lambda: "the models are set up" in process.log)
    answer = exchange(process.address, sent)
    assert answer is not None
    return answer


def end(process: Process) -> None:
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def told(answer: Answer) -> list[str]:
    """Trace, span and flags that an answer tells."""
    return (answer.header("traceparent") or "").split("-")[1:]


def test_a_request_from_its_caller_to_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver
) -> None:
    """On a thread, in a coroutine, in a batch and in a process; all that is sent is sent at the drain.

    The log's lines and the audit's have the same ids.
    """
    paths = ["/thread", "/async", "/batch", "/process"]
    process = serve(tmp_path, monkeypatch, receiver.endpoint, SERVICE_NAME="liver")
    try:
        answers = {}
        for number, path in enumerate(paths):
            trace_id = f"{TRACE[:-1]}{number}"
            given = f"traceparent: 00-{trace_id}-{CALLER}-01", "tracestate: vendor=of the caller"
            answers[trace_id] = path, ask(process, path, *given, f"X-Request-ID: request-{number}")
        unsampled = ask(process, "/process", f"traceparent: 00-{TRACE}-{CALLER}-00")
        failed = ask(process, "/failing")
        assert receiver.spans == []
        end(process)
    finally:
        process.close()
    lines = [json.loads(line) for line in process.lines if line.startswith("{")]
    [audit] = (tmp_path / "audit").glob("*.jsonl")
    audited = {
        line["trace_id"]: line
        for line in map(json.loads, audit.read_text().splitlines())
        if "trace_id" in line
    }
    for trace_id, (path, answer) in answers.items():
        assert answer.status == 200
        assert (audited[trace_id]["route"], audited[trace_id]["outcome"]) == (path, "answered")
        assert audited[trace_id]["request_id"] == answer.header("x-request-id")
        spans = {span.name: span for span in receiver.spans if span.trace_id == trace_id}
        assert sorted(spans) == sorted([f"POST {path}", *PHASES, "of the model"]), path
        check_spans(dict(spans), path, answer)
        called = json.loads(decoded(answer)[0][2])["traceparent"]
        assert called == f"00-{trace_id}-{spans['model'].span_id}-01"
        ours = [line for line in lines if line.get("trace_id") == trace_id]
        bodies = {line["body"]: line for line in ours}
        assert bodies.keys() == {"a line of the model", "status 200"}
        assert bodies["status 200"]["span_id"] == spans[f"POST {path}"].span_id
        assert bodies["a line of the model"]["span_id"] == spans["model"].span_id
        if path != "/batch":  # whose call has an id of its own
            assert {line["request_id"] for line in ours} == {answer.header("x-request-id")}
    # Whose caller does not record, or who has none
    assert [span for span in receiver.spans if span.trace_id == TRACE] == []
    assert told(unsampled)[::2] == [TRACE, "00"]
    trace_id, span_id, flags = told(failed)
    assert flags == "01"
    assert trace_id == failed.header("x-request-id")
    [root] = receiver.named("POST /failing")
    assert (root.trace_id, root.span_id, root.parent_id, root.error) == (trace_id, span_id, "", True)
    assert root.attributes["error.type"] == "500"
    assert not [body for body in receiver.bodies if b"SECRET" in body or b"patient" in body]


def check_spans(spans: dict[str, ReceivedSpan], path: str, answer: Answer) -> None:
    root = spans.pop(f"POST {path}")
    assert [root.trace_id, root.span_id, "01"] == told(answer)
    assert (root.parent_id, root.kind, root.state, root.error) == (CALLER, 2, "vendor=of the caller", False)
    assert root.resource["service.name"] == "liver"
    attributes: dict[str, Any] = dict(root.attributes)
    assert attributes.pop("http.request.body.size") > 0
    assert attributes.pop("http.response.body.size") == len(answer.body)
    assert attributes == {
        "http.request.method": "POST",
        "http.route": path,
        "url.scheme": "http",
        "http.response.status_code": 200,
        "gateway.request_id": answer.header("x-request-id"),
    }
    own = spans.pop("of the model")
    assert (own.parent_id, own.scope, own.state) == (spans["model"].span_id, "the.model", root.state)
    assert own.resource["service.name"] == "liver"
    at = root.begun
    for phase in PHASES:
        span = spans[phase]
        assert (span.parent_id, span.scope) == (root.span_id, "inference_gateway")
        assert span.begun == at
        at = span.ended
    assert at <= root.ended
    batch = {"gateway.batch", "gateway.batch_size"} if path == "/batch" else set()
    assert [spans[phase].attributes.keys() for phase in PHASES] == [set(), set(), batch, set()]


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_a_model_in_an_actor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> None:
    """It runs on another node, whose environment says nothing of a receiver."""
    target = "tests.faults.traced_ray_app:app"
    process = serve(tmp_path, monkeypatch, receiver.endpoint, target, SERVICE_NAME="liver")
    try:
        given = f"traceparent: 00-{TRACE}-{CALLER}-01", "tracestate: vendor=of the caller"
        answer = ask(process, "/ray", *given)
        process.wait_line("a line of the model")
        end(process)
    finally:
        process.close()
    spans = {span.name: span for span in receiver.spans if span.trace_id == TRACE}
    assert sorted(spans) == sorted(["POST /ray", *PHASES, "of the model"])
    check_spans(dict(spans), "/ray", answer)
    [line] = [line for line in process.lines if "a line of the model" in line]
    assert json.loads(line)["span_id"] == spans["model"].span_id


@pytest.mark.parametrize("kind", ["refuses", "hangs"])
def test_a_receiver_that_is_down_delays_nobody(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an answer nor the end: spans for which there is no room are dropped."""
    with socket.create_server(("127.0.0.1", 0)) as listening:  # and takes no connection
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        endpoint = address if kind == "hangs" else "http://127.0.0.1:9"
        few: dict[str, Any] = {"BSP_MAX_QUEUE_SIZE": 4, "BSP_MAX_EXPORT_BATCH_SIZE": 4}
        few |= {"BSP_SCHEDULE_DELAY": 1, "EXPORTER_OTLP_TIMEOUT": 10**6}
        process = serve(tmp_path, monkeypatch, endpoint, **few)
        try:
            for path in ["/thread", "/process"] * 3:
                assert ask(process, path).status == 200
            begun = time.monotonic()
            end(process)
            assert time.monotonic() - begun < 60
        finally:
            process.close()
    assert "Traceback" not in process.log


@pytest.mark.setting("TRACING")
def test_where_only_the_setting_asks_for_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    process = Process(ROOT, serve_command("tests.faults.traced_app:app"), spool_dir=tmp_path, tracing="true")
    try:
        assert process.wait() == 3
    finally:
        process.close()
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and only http/protobuf is known here" in process.log
