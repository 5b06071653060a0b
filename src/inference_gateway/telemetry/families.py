"""Every metric of `/metrics`: its name, kind, labels and meaning.

Names and units are as Prometheus wants them: seconds, bytes, `_total` for what only grows. Labels stand in
the order of the alphabet. `reference.py` makes docs/metrics.md of this.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple


class Family(NamedTuple):
    """One metric. `bounds`: of a histogram's buckets, each included. `only`: where it is not always there."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    bounds: tuple[float, ...] = ()
    only: str = ""

    @property
    def cells(self) -> int:
        """How many numbers it takes: of a histogram its sum, and the count of each bucket."""
        return len(self.bounds) + 2 if self.bounds else 1


class Sample(NamedTuple):
    """What a metric is now, for one set of labels. `values`: as many as the family has cells.

    `largest`: where several workers tell of the same thing, the largest counts, and not their sum.
    """

    family: Family
    labels: tuple[str, ...]
    values: Sequence[float]
    largest: bool = False


PHASES = ("upload", "queue", "model", "answer")
"""What a request goes through, in this order."""

REFUSALS = {
    "content_type": "400: no usable `multipart/related` with a boundary, or an unknown charset",
    "malformed": "400: the multipart body, a part's header or the Content-Length",
    "root_part": "400: the root part is missing or no JSON",
    "unauthorized": "401: no API key that is known",
    "upload_timeout": "408: the client was silent or too slow",
    "too_large": "413: over a limit",
    "encoding": "415: a Content-Encoding, or a Content-Transfer-Encoding that is not known",
    "model": "422 or another 4xx: the model raised `Refused`",
    "not_ready": "503: the model is being set up, or could not be",
    "draining": "503: the gateway is shutting down",
    "uploads_full": "503: `GATEWAY_MAX_UPLOADS`",
    "queue_full": "503: `GATEWAY_MAX_QUEUE`",
    "queue_timeout": "503: `GATEWAY_QUEUE_TIMEOUT`",
    "disk": "503: the spool's disk does not answer",
    "device_memory": "503: the memory of the model's device is spent",
    "unavailable": "503: no thread, or no Ray node or room in its object store",
    "storage": "507: `GATEWAY_SPOOL_QUOTA_BYTES`, or the disk is full",
}
"""Why a request is refused: no model has failed."""

FAILURES = {
    "model_failed": "the model raised an exception",
    "invalid_output": "what the model returned does not fit the contract",
    "model_crashed": "the model's process or actor ended",
    "model_timeout": "504: `GATEWAY_MODEL_TIMEOUT`",
    "gateway_error": "an error of the gateway itself",
    "client_left": "the client left before the end",
    "answer_cut": "the answer was cut: the client took nothing of it, or the drain was over",
    "cancelled": "what is around the gateway cancelled it",
}
"""Why a request that nobody refused has no result."""

_FRACTIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
_SECONDS = (*_FRACTIONS, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128)
_APART = "models in processes or on Ray"

REQUESTS = Family(
    "gateway_requests_total",
    "counter",
    ("route", "status"),
    "Inference requests that have ended; status 0: the client left or the answer was cut",
)
REQUEST_SECONDS = Family(
    "gateway_request_seconds",
    "histogram",
    ("phase", "route"),
    "Time of an inference request by phase, counted when the request has ended",
    _SECONDS,
)
REFUSED = Family(
    "gateway_refusals_total",
    "counter",
    ("reason", "route"),
    "Inference requests that were refused, by the gateway or the model",
)
FAILED = Family(
    "gateway_failures_total",
    "counter",
    ("reason", "route"),
    "Inference requests that nobody refused, and that got no result",
)
MODEL_REFUSALS = Family(
    "gateway_model_refusals_total",
    "counter",
    ("route",),
    "Requests that the model itself refused: the refusals of reason model, under an older name",
)
RECEIVED_BYTES = Family("gateway_received_bytes_total", "counter", ("route",), "Bytes of request bodies")
SENT_BYTES = Family(
    "gateway_sent_bytes_total", "counter", ("route",), "Bytes of answers' bodies, without problem documents"
)
RECEIVED_PARTS = Family(
    "gateway_received_parts_total",
    "counter",
    ("route",),
    "Parts of request bodies that came whole, the root part too",
)
SENT_PARTS = Family(
    "gateway_sent_parts_total",
    "counter",
    ("route",),
    "Parts of answers that went out whole: JSON, elements and hashes",
)
BATCH_SIZE = Family(
    "gateway_batch_size",
    "histogram",
    ("route",),
    "Requests of one call of a model",
    _REQUESTS,
    "routes with batches",
)
UPLOADS = Family("gateway_uploads", "gauge", (), "Bodies being received")
UPLOADS_LIMIT = Family("gateway_uploads_limit", "gauge", (), "Bodies that may be received at once")
SPOOL_BYTES = Family("gateway_spool_bytes", "gauge", (), "Bytes in spool files")
QUEUED = Family(
    "gateway_queued",
    "gauge",
    ("route",),
    "Requests admitted but not yet in a model slot, those whose body is coming too",
)
QUEUE_LIMIT = Family("gateway_queue_limit", "gauge", ("route",), "Requests that may be so at once")
SLOTS = Family(
    "gateway_slots",
    "gauge",
    ("route",),
    "Model slots: calls that may run at once; routes that share slots each tell of all of them",
)
SLOTS_TAKEN = Family(
    "gateway_slots_taken", "gauge", ("route",), "Model slots in use, orphaned ones too; a batch takes one"
)
ORPHANED = Family(
    "gateway_orphaned", "gauge", ("route",), "Model calls whose caller is gone or whose time is up"
)
MODEL_RESTARTS = Family(
    "gateway_model_restarts_total",
    "counter",
    ("reason", "route"),
    "Model processes or Ray actors that were replaced",
    only=_APART,
)
MODEL_SETUP_SECONDS = Family(
    "gateway_model_setup_seconds",
    "gauge",
    ("route",),
    "Time that the last model process or actor took to be set up; of several workers the longest",
    only=_APART,
)
MODEL_PROCESS_MEMORY = Family(
    "gateway_model_process_memory_bytes",
    "gauge",
    ("route", "slot", "worker"),
    "Resident bytes of a model process, 0 while it is replaced; workers count from 1, slots from 0",
    only="models in processes",
)
MODEL_ACTORS = Family(
    "gateway_model_actors",
    "gauge",
    ("route",),
    "Ray actors of a model, those that are being set up too; the same for all its gateways",
    only="models on Ray",
)
MODEL_INFO = Family(
    "gateway_model_info",
    "gauge",
    ("digest", "name", "route", "version"),
    "What the models say that they are; always 1",
)
_AUDITED = "where GATEWAY_AUDIT_DIR or GATEWAY_AUDIT_S3_BUCKET is set"
AUDIT_RECORDS = Family(
    "gateway_audit_records_total",
    "counter",
    ("sink",),
    "Audit records that are in the file, or in the bucket",
    only=_AUDITED,
)
AUDIT_LOST = Family(
    "gateway_audit_lost_total",
    "counter",
    ("sink",),
    "Audit records for which there was no room any more",
    only=_AUDITED,
)
AUDIT_WAITING = Family(
    "gateway_audit_waiting",
    "gauge",
    ("sink",),
    "Audit records in memory that no disk has taken yet",
    only=_AUDITED,
)
AUDIT_FAILING = Family(
    "gateway_audit_failing",
    "gauge",
    ("sink",),
    "Workers whose audit records cannot be written, or sent",
    only=_AUDITED,
)
AUDIT_OUTBOX_BYTES = Family(
    "gateway_audit_outbox_bytes",
    "gauge",
    (),
    "Bytes of audit records that wait for the bucket",
    only="where GATEWAY_AUDIT_S3_BUCKET is set",
)
WORKERS = Family("gateway_workers", "gauge", (), "Worker processes that serve")
WORKERS_READY = Family(
    "gateway_workers_ready",
    "gauge",
    (),
    "Those of them that are ready; the health check's own handler is not asked",
)
WORKER_RESTARTS = Family(
    "gateway_worker_restarts_total", "counter", (), "Worker processes that took the place of one that died"
)

FAMILIES = (
    REQUESTS,
    REQUEST_SECONDS,
    REFUSED,
    FAILED,
    MODEL_REFUSALS,
    RECEIVED_BYTES,
    SENT_BYTES,
    RECEIVED_PARTS,
    SENT_PARTS,
    BATCH_SIZE,
    UPLOADS,
    UPLOADS_LIMIT,
    SPOOL_BYTES,
    QUEUED,
    QUEUE_LIMIT,
    SLOTS,
    SLOTS_TAKEN,
    ORPHANED,
    MODEL_RESTARTS,
    MODEL_SETUP_SECONDS,
    MODEL_PROCESS_MEMORY,
    MODEL_ACTORS,
    MODEL_INFO,
    AUDIT_RECORDS,
    AUDIT_LOST,
    AUDIT_WAITING,
    AUDIT_FAILING,
    AUDIT_OUTBOX_BYTES,
    WORKERS,
    WORKERS_READY,
    WORKER_RESTARTS,
)
"""All of them, as a scrape has them."""


def histogram(family: Family, counts: Mapping[int, int]) -> list[float]:
    """Return the cells of a histogram of what was seen so often: value → how often."""
    cells = [0.0] * family.cells
    for value, count in counts.items():
        cells[0] += value * count
        cells[1 + bisect_left(family.bounds, value)] += count
    return cells
