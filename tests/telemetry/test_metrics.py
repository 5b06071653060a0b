"""Metrics: what they count, of one worker and of several, as Prometheus' own library reads it."""

import os
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inference_gateway.telemetry import families, sheets
from inference_gateway.telemetry.families import Sample, histogram
from inference_gateway.telemetry.metrics import Metrics
from inference_gateway.telemetry.record import Record
from inference_gateway.telemetry.sheets import Sheets


def samples(metrics: Metrics) -> dict[str, float]:
    """`name{label=value}` → value, as Prometheus reads it."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def counting(*routes: str, shared: Sheets | None = None) -> Metrics:
    metrics = Metrics(shared)
    for route in routes:
        metrics.add_route(route)
    return metrics


def tell(metrics: Metrics, sample: Sample) -> None:
    metrics.source(lambda: [sample])


def end(metrics: Metrics, route: str, status: int, failure: str = "", upload: float | None = None) -> None:
    record = Record("id", route, [metrics])
    record.status, record.failure = status, failure
    record.received, record.sent, record.received_parts, record.sent_parts = 100, 70, 3, 2
    if upload is not None:
        record.phases["upload"] = upload
    record.end()


@pytest.mark.wire("routes: /metrics")
class TestOfOneProcess:
    def test_requests_bytes_parts_and_phases_are_counted_by_route(self) -> None:
        metrics = counting("/a", "/b", "/c")
        end(metrics, "/a", 200, upload=0.02)
        end(metrics, "/a", 200, upload=0.025)
        end(metrics, "/a", 413, "too_large", upload=0.03)
        end(metrics, "/b", 0, "client_left")
        found = samples(metrics)
        assert found["gateway_requests_total route=/a status=200"] == 2
        assert found["gateway_requests_total route=/a status=413"] == 1
        assert found["gateway_requests_total route=/b status=0"] == 1
        for name, each in (
            ("received_bytes", 100),
            ("sent_bytes", 70),
            ("received_parts", 3),
            ("sent_parts", 2),
        ):
            assert found[f"gateway_{name}_total route=/a"] == 3 * each
            assert found[f"gateway_{name}_total route=/c"] == 0
        assert found["gateway_request_seconds_count phase=upload route=/a"] == 3
        assert found["gateway_request_seconds_sum phase=upload route=/a"] == pytest.approx(0.075)
        assert found["gateway_request_seconds_bucket le=0.01 phase=upload route=/a"] == 0
        assert found["gateway_request_seconds_bucket le=0.025 phase=upload route=/a"] == 2
        assert found["gateway_request_seconds_bucket le=0.05 phase=upload route=/a"] == 3
        assert found["gateway_request_seconds_bucket le=+Inf phase=upload route=/a"] == 3

    def test_what_has_no_result_is_refused_or_has_failed(self) -> None:
        metrics = counting("/a")
        for status, failure in ((503, "queue_full"), (422, "model"), (500, "model_failed")):
            end(metrics, "/a", status, failure)
        end(metrics, "/a", 0, "answer_cut")
        end(metrics, "/a", 200)
        end(metrics, "/a", 200, "client_left")  # after the whole answer
        found = samples(metrics)
        refused = {name: value for name, value in found.items() if "refusals" in name and value}
        assert refused == {
            "gateway_refusals_total reason=queue_full route=/a": 1,
            "gateway_refusals_total reason=model route=/a": 1,
            "gateway_model_refusals_total route=/a": 1,
        }
        failed = {name: value for name, value in found.items() if "failures" in name and value}
        assert failed == {
            "gateway_failures_total reason=model_failed route=/a": 1,
            "gateway_failures_total reason=answer_cut route=/a": 1,
        }

    def test_what_never_came_is_there_as_zero(self) -> None:
        """A rate needs the step from 0 to 1."""
        found = samples(counting("/a"))
        assert found["gateway_requests_total route=/a status=200"] == 0
        for reason in families.REFUSALS:
            assert found[f"gateway_refusals_total reason={reason} route=/a"] == 0
        for reason in families.FAILURES:
            assert found[f"gateway_failures_total reason={reason} route=/a"] == 0

    def test_a_source_is_asked_at_each_scrape(self) -> None:
        metrics, now = Metrics(), [3]
        metrics.source(lambda: [Sample(families.UPLOADS, (), (now[0],))])
        assert samples(metrics)["gateway_uploads"] == 3
        now[0] = 4
        assert samples(metrics)["gateway_uploads"] == 4

    def test_counters_and_histograms_of_a_source(self) -> None:
        metrics = Metrics()
        assert not any("batch" in name or "model" in name for name in samples(metrics))
        sizes = histogram(families.BATCH_SIZE, {1: 5, 3: 2, 200: 1})
        tell(metrics, Sample(families.BATCH_SIZE, ("/a",), sizes))
        tell(metrics, Sample(families.MODEL_RESTARTS, ("device memory", "/a"), (2,)))
        for found in (samples(metrics), samples(metrics)):  # asked twice, counted once
            assert found["gateway_batch_size_bucket le=1.0 route=/a"] == 5
            assert found["gateway_batch_size_bucket le=2.0 route=/a"] == 5
            assert found["gateway_batch_size_bucket le=4.0 route=/a"] == 7
            assert found["gateway_batch_size_bucket le=128.0 route=/a"] == 7
            assert found["gateway_batch_size_bucket le=+Inf route=/a"] == 8
            assert found["gateway_batch_size_count route=/a"] == 8
            assert found["gateway_batch_size_sum route=/a"] == 5 + 6 + 200
            assert found["gateway_model_restarts_total reason=device memory route=/a"] == 2

    def test_a_route_is_written_as_the_format_wants_it(self) -> None:
        odd = '/a"b\\c\n'
        metrics = counting(odd)
        assert f"gateway_received_bytes_total route={odd}" in samples(metrics)

    def test_two_gateways_in_a_process_do_not_share_them(self) -> None:
        one, two = counting("/"), counting("/")
        end(one, "/", 200)
        assert samples(one)["gateway_requests_total route=/ status=200"] == 1
        assert samples(two)["gateway_requests_total route=/ status=200"] == 0

    def test_content_type(self) -> None:
        assert Metrics.content_type.startswith("text/plain; version=")


class Workers:
    """The metrics of several workers, all in this process."""

    def __init__(self, count: int) -> None:
        self.memory = sheets.make(count)

    def start(self, number: int, gateways: int = 1) -> list[Metrics]:
        """What the applications of a worker count on, as its process makes them."""
        shared = sheets.of_worker(self.memory, number)
        return [counting("/a", shared=shared) for _ in range(gateways)]

    def die(self, number: int) -> None:
        sheets.bury(self.memory, number)


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2)
    yield made
    os.close(made.memory)


def load(metrics: Metrics, taken: int) -> None:
    tell(metrics, Sample(families.SLOTS_TAKEN, ("/a",), (taken,)))
    tell(metrics, Sample(families.MODEL_PROCESS_MEMORY, ("/a", "0"), (taken * 10,)))


class TestOfSeveralWorkers:
    def test_counts_are_added_up_wherever_they_are_read(self, workers: Workers) -> None:
        [one], [two] = workers.start(1), workers.start(2)
        end(one, "/a", 200, upload=0.02)
        end(two, "/a", 200, upload=0.2)
        end(two, "/a", 503, "queue_full")
        for metrics in (one, two):
            found = samples(metrics)
            assert found["gateway_requests_total route=/a status=200"] == 2
            assert found["gateway_requests_total route=/a status=503"] == 1
            assert found["gateway_refusals_total reason=queue_full route=/a"] == 1
            assert found["gateway_received_bytes_total route=/a"] == 300
            assert found["gateway_request_seconds_bucket le=0.025 phase=upload route=/a"] == 1
            assert found["gateway_request_seconds_count phase=upload route=/a"] == 2
            assert found["gateway_request_seconds_sum phase=upload route=/a"] == pytest.approx(0.22)

    def test_gauges_are_added_up_once_they_are_told(self, workers: Workers) -> None:
        [one], [two] = workers.start(1), workers.start(2)
        load(one, 1)
        load(two, 2)
        assert samples(one)["gateway_slots_taken route=/a"] == 1
        two.tell()
        found = samples(one)
        assert found["gateway_slots_taken route=/a"] == 3
        assert found["gateway_workers"] == 2
        assert found["gateway_model_process_memory_bytes route=/a slot=0 worker=1"] == 10
        assert found["gateway_model_process_memory_bytes route=/a slot=0 worker=2"] == 20

    def test_what_all_tell_of_the_same_is_not_added_up(self, workers: Workers) -> None:
        [one], [two] = workers.start(1), workers.start(2)
        for metrics, actors in ((one, 3), (two, 4)):
            tell(metrics, Sample(families.MODEL_ACTORS, ("/a",), (actors,), largest=True))
        two.tell()
        assert samples(one)["gateway_model_actors route=/a"] == 4

    def test_one_that_dies_leaves_its_counts_and_no_gauges(self, workers: Workers) -> None:
        [one], [two] = workers.start(1), workers.start(2)
        load(two, 2)
        end(two, "/a", 200)
        two.tell()
        workers.die(2)
        found = samples(one)
        assert found["gateway_requests_total route=/a status=200"] == 1
        assert "gateway_slots_taken route=/a" not in found
        assert found["gateway_workers"] == 1

    def test_who_takes_its_place_goes_on_counting(self, workers: Workers) -> None:
        [one], [two] = workers.start(1), workers.start(2)
        for metrics, restarts in ((one, 1), (two, 3)):
            tell(metrics, Sample(families.MODEL_RESTARTS, ("crash", "/a"), (restarts,)))
        load(two, 2)
        end(two, "/a", 200, upload=0.02)
        two.tell()
        workers.die(2)
        [three] = workers.start(2)
        tell(three, Sample(families.MODEL_RESTARTS, ("crash", "/a"), (1,)))
        three.tell()
        end(three, "/a", 200, upload=0.02)
        found = samples(one)
        assert found["gateway_requests_total route=/a status=200"] == 2
        assert found["gateway_request_seconds_count phase=upload route=/a"] == 2
        assert found["gateway_model_restarts_total reason=crash route=/a"] == 1 + 3 + 1
        assert found["gateway_slots_taken route=/a"] == 0  # until it tells of its own
        assert found["gateway_worker_restarts_total"] == 1
        assert found["gateway_workers"] == 2

    def test_several_gateways_of_a_worker_stay_apart(self, workers: Workers) -> None:
        first, second = workers.start(1, gateways=2), workers.start(2, gateways=2)
        end(first[0], "/a", 200)
        end(second[1], "/a", 200)
        end(second[1], "/a", 200)
        for one, other in (first, second):
            assert samples(one)["gateway_requests_total route=/a status=200"] == 1
            assert samples(other)["gateway_requests_total route=/a status=200"] == 2
