"""When spans are asked for, and what is said where they cannot be recorded."""

import pytest

from inference_gateway.telemetry.record import Record
from inference_gateway.telemetry.tracing import ModelTracing, Tracing, variables
from tests.harness.log import LogCapture

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
OF_TRACES = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}
EXPORTER = {"OTEL_TRACES_EXPORTER": "otlp"}


@pytest.mark.parametrize(
    ("setting", "environment", "asked_for"),
    [
        (None, {}, False),
        (None, {"OTEL_SERVICE_NAME": "liver"}, False),
        (None, ENDPOINT, True),
        (None, OF_TRACES, True),
        (None, EXPORTER, True),
        (None, {"OTEL_TRACES_EXPORTER": "console, otlp"}, True),
        (None, {"OTEL_TRACES_EXPORTER": "console"}, False),
        (None, ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (None, ENDPOINT | {"OTEL_TRACES_EXPORTER": ""}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (None, ENDPOINT | EXPORTER | {"OTEL_SDK_DISABLED": "True"}, False),
        (True, {}, True),
        (False, ENDPOINT | EXPORTER, False),
    ],
)
def test_who_asks_for_spans(setting: bool | None, environment: dict[str, str], asked_for: bool) -> None:
    found = variables(setting, environment | {"PATH": "/bin"})
    assert found == (environment if asked_for else None)


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
async def test_a_protocol_that_is_not_known(
    name: str, monkeypatch: pytest.MonkeyPatch, log: LogCapture
) -> None:
    """Where the environment alone asks for spans, it costs the spans only."""
    monkeypatch.setenv(name, "grpc")
    with pytest.raises(ValueError, match="only http/protobuf"):
        Tracing(True).start()
    assert "no spans" not in log.text
    tracing = Tracing(None)
    tracing.start()
    ModelTracing({}).end(1.0)
    assert len([line for line in log.lines if "only http/protobuf" in line]) == 2
    record = Record("id", "/")
    tracing.begin(record, "http")
    tracing.request_ended(record)
    assert record.trace.sampled is False
    await tracing.end(1.0)


def test_a_model_without_tracing_needs_nothing() -> None:
    ModelTracing(None).end(0.0)
