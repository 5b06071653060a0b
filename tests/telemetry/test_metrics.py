"""Metrics: what they count, as Prometheus reads it."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inference_gateway.telemetry.metrics import Metrics
from inference_gateway.telemetry.record import Record


def samples(metrics: Metrics) -> dict[str, float]:
    """`name{label=value}` → value, as Prometheus reads it."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def counting(*routes: str) -> Metrics:
    metrics = Metrics()
    for route in routes:
        metrics.add_route(route)
    return metrics


def end(metrics: Metrics, route: str, status: int, received: int = 0, upload: float | None = None) -> None:
    record = Record("id", route, [metrics])
    record.status, record.received = status, received
    if upload is not None:
        record.phases["upload"] = upload
    record.end()


@pytest.mark.wire("routes: /metrics")
class TestMetrics:
    def test_requests_bytes_and_phases_are_counted_by_route(self) -> None:
        metrics = counting("/a", "/b", "/c")
        for status, received in ((200, 100), (200, 50), (413, 7)):
            end(metrics, "/a", status, received, upload=0.02)
        end(metrics, "/b", 0)
        found = samples(metrics)
        assert found["gateway_requests_total route=/a status=200"] == 2
        assert found["gateway_requests_total route=/a status=413"] == 1
        assert found["gateway_requests_total route=/b status=0"] == 1
        assert found["gateway_received_bytes_total route=/a"] == 157
        assert found["gateway_received_bytes_total route=/b"] == 0
        assert found["gateway_received_bytes_total route=/c"] == 0
        assert found["gateway_request_seconds_count phase=upload route=/a"] == 3
        assert found["gateway_request_seconds_sum phase=upload route=/a"] == pytest.approx(0.06)
        assert found["gateway_request_seconds_bucket le=0.01 phase=upload route=/a"] == 0
        assert found["gateway_request_seconds_bucket le=0.03 phase=upload route=/a"] == 3

    @pytest.mark.parametrize("name", ["uploads", "spool_bytes"])
    def test_gauges_of_the_process(self, name: str) -> None:
        metrics, now = Metrics(), [3]
        metrics.gauge(name, lambda: now[0])
        assert samples(metrics)[f"gateway_{name}"] == 3
        now[0] = 4
        assert samples(metrics)[f"gateway_{name}"] == 4

    @pytest.mark.parametrize("name", ["queued", "slots_taken", "orphaned"])
    def test_gauges_of_a_route(self, name: str) -> None:
        metrics = Metrics()
        metrics.gauge(name, lambda: 1, "/a")
        metrics.gauge(name, lambda: 2, "/b")
        found = samples(metrics)
        assert found[f"gateway_{name} route=/a"] == 1
        assert found[f"gateway_{name} route=/b"] == 2

    def test_sizes_of_batches(self) -> None:
        metrics = Metrics()
        assert not any("batch" in name for name in samples(metrics))
        metrics.batches("/a", lambda: {1: 5, 3: 2, 200: 1})
        found = samples(metrics)
        assert found["gateway_batch_size_bucket le=1.0 route=/a"] == 5
        assert found["gateway_batch_size_bucket le=2.0 route=/a"] == 5
        assert found["gateway_batch_size_bucket le=4.0 route=/a"] == 7
        assert found["gateway_batch_size_bucket le=128.0 route=/a"] == 7
        assert found["gateway_batch_size_bucket le=+Inf route=/a"] == 8
        assert found["gateway_batch_size_count route=/a"] == 8
        assert found["gateway_batch_size_sum route=/a"] == 5 + 6 + 200

    def test_two_gateways_in_a_process_do_not_share_them(self) -> None:
        one, two = counting("/"), counting("/")
        end(one, "/", 200)
        assert "gateway_requests_total route=/ status=200" in samples(one)
        assert "gateway_requests_total route=/ status=200" not in samples(two)

    def test_content_type(self) -> None:
        assert Metrics.content_type.startswith("text/plain; version=")


def test_replaced_processes_are_counted_by_reason() -> None:
    metrics, counts = counting("/a"), {"crash": 0, "deadline": 2}
    metrics.restarts("/a", lambda: counts)
    metrics.gauge("model_process_memory_bytes", lambda: 7, "/a")
    counts["crash"] += 1
    found = samples(metrics)
    assert found["gateway_model_restarts_total reason=crash route=/a"] == 1
    assert found["gateway_model_restarts_total reason=deadline route=/a"] == 2
    assert found["gateway_model_process_memory_bytes route=/a"] == 7
