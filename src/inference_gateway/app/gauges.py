"""What a gateway tells its metrics of, whenever they are read: how busy it is, and how busy it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from inference_gateway.app.readiness import Readiness
from inference_gateway.execution.runner import Runner
from inference_gateway.intake.admission import Queue, Uploads
from inference_gateway.payload.spool_budget import SpoolBudget
from inference_gateway.telemetry.families import (
    BATCH_SIZE,
    ORPHANED,
    QUEUE_LIMIT,
    QUEUED,
    SLOTS,
    SLOTS_TAKEN,
    SPOOL_BYTES,
    UPLOADS,
    UPLOADS_LIMIT,
    WORKERS_READY,
    Sample,
    histogram,
)

Source = Callable[[], Iterator[Sample]]


def of_gateway(uploads: Uploads, budget: SpoolBudget, readiness: Readiness) -> Source:
    """Return a source of what all routes share."""

    def tell() -> Iterator[Sample]:
        yield Sample(UPLOADS, (), (uploads.count,))
        yield Sample(UPLOADS_LIMIT, (), (uploads.limit,))
        yield Sample(SPOOL_BYTES, (), (budget.used,))
        yield Sample(WORKERS_READY, (), (readiness.unready is None,))

    return tell


def of_route(runner: Runner, queue: Queue) -> Source:
    """Return a source of the load of a route."""
    where = (runner.route,)

    def tell() -> Iterator[Sample]:
        load = runner.readiness
        yield Sample(QUEUED, where, (queue.count,))
        yield Sample(QUEUE_LIMIT, where, (queue.limit,))
        yield Sample(SLOTS, where, (load.slots,))
        yield Sample(SLOTS_TAKEN, where, (load.taken,))
        yield Sample(ORPHANED, where, (load.orphaned,))

    return tell


def of_batches(route: str, sizes: Mapping[int, int]) -> Source:
    """Return a source of the batches of a route. `sizes`: how many calls had so many requests."""

    def tell() -> Iterator[Sample]:
        found = dict(sizes)  # the model's threads go on counting
        yield Sample(BATCH_SIZE, (route,), histogram(BATCH_SIZE, found))

    return tell
