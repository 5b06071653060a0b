"""What a gateway in this process counts, which is nothing when it is at rest."""

from inference_gateway import Gateway
from tests.faults.rest import LIMIT, whole
from tests.harness.raw import Address, exchange


def ping(address: Address) -> None:
    whole(exchange(address, b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", limit=LIMIT))


def counts(app: Gateway) -> dict[str, int]:
    endpoint = app._endpoints["/"]
    return {
        "uploads": app._shared.uploads.count,
        "queue": endpoint.queue.count,
        "slots": endpoint.runner.readiness.taken,
        "orphaned": endpoint.runner.readiness.orphaned,
        "spool": app._shared.budget.used,
    }


def wait_zero(address: Address, app: Gateway) -> None:
    """Until an orphan's thread has come back too."""
    for _ in range(1000):
        if not any(counts(app).values()):
            return
        ping(address)
    raise AssertionError(counts(app))
