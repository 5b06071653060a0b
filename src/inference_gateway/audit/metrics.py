"""What the audit counts of itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inference_gateway.audit.auditor import Auditor
from inference_gateway.telemetry.families import (
    AUDIT_FAILING,
    AUDIT_LOST,
    AUDIT_OUTBOX_BYTES,
    AUDIT_RECORDS,
    AUDIT_WAITING,
    Sample,
)


def of_audit(auditor: Auditor) -> Callable[[], Iterator[Sample]]:
    """Return a source of the metrics; their `sink` is `file`, or `s3` for the bucket and its outbox."""

    def tell() -> Iterator[Sample]:
        outbox, sender = auditor.outbox, auditor.sender
        for sink, store in auditor.stores.items():
            written, lost, failing = store.written, store.lost, store.failing
            if sink == "s3" and outbox is not None and sender is not None:
                written, lost, failing = sender.sent, lost + outbox.lost, failing or sender.failing
            yield Sample(AUDIT_RECORDS, (sink,), (written,))
            yield Sample(AUDIT_LOST, (sink,), (lost,))
            yield Sample(AUDIT_WAITING, (sink,), (store.waiting,))
            yield Sample(AUDIT_FAILING, (sink,), (failing,))
        if outbox is not None:
            yield Sample(AUDIT_OUTBOX_BYTES, (), (outbox.bytes,))

    return tell
