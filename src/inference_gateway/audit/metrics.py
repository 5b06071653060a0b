"""What the audit counts of itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from inference_gateway.audit.auditor import Auditor


def audit_metrics(auditor: Auditor) -> Iterator[Metric]:
    """Give the metrics; `sink` is `file`, or `s3` for the bucket and its outbox."""
    written = CounterMetricFamily(
        "gateway_audit_records", "Audit records that are in the file, or in the bucket", labels=["sink"]
    )
    lost = CounterMetricFamily(
        "gateway_audit_lost", "Audit records for which there was no room any more", labels=["sink"]
    )
    waiting = GaugeMetricFamily(
        "gateway_audit_waiting", "Audit records in memory that no disk has taken yet", labels=["sink"]
    )
    failing = GaugeMetricFamily(
        "gateway_audit_failing", "1 while audit records cannot be written, or sent", labels=["sink"]
    )
    outbox, sender = auditor.outbox, auditor.sender
    for sink, store in auditor.stores.items():
        sends = sink == "s3" and outbox is not None and sender is not None
        written.add_metric([sink], sender.sent if sends and sender else store.written)
        lost.add_metric([sink], store.lost + (outbox.lost if sends and outbox else 0))
        waiting.add_metric([sink], store.waiting)
        failing.add_metric([sink], store.failing or bool(sends and sender and sender.failing))
    yield from (written, lost, waiting, failing)
    if outbox is not None:
        yield GaugeMetricFamily(
            "gateway_audit_outbox_bytes", "Bytes of audit records that wait for the bucket", outbox.bytes
        )
