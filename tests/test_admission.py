"""Admission: upload slots and places in the queue, each taken and given back once."""

from contextlib import ExitStack

import pytest

from inference_gateway.admission import Queue, Ticket, Uploads
from inference_gateway.errors import Unavailable


def counts(uploads: Uploads, queue: Queue) -> tuple[int, int]:
    return uploads.count, queue.count


def test_a_request_has_an_upload_slot_and_a_place_from_the_header_on() -> None:
    uploads, queue = Uploads(1), Queue(1)
    with Ticket(uploads, queue) as ticket:
        assert counts(uploads, queue) == (1, 1)
        ticket.uploaded()
        assert counts(uploads, queue) == (0, 1)
        ticket.in_slot()
        assert counts(uploads, queue) == (0, 0)
    assert counts(uploads, queue) == (0, 0)


@pytest.mark.parametrize(
    "steps", [(), ("uploaded",), ("in_slot",), ("uploaded", "in_slot"), ("uploaded",) * 3]
)
def test_each_is_given_back_once(steps: tuple[str, ...]) -> None:
    uploads, queue = Uploads(2), Queue(2)
    with Ticket(uploads, queue):
        with Ticket(uploads, queue) as ticket:
            for step in steps:
                getattr(ticket, step)()
        assert counts(uploads, queue) == (1, 1)
        ticket.uploaded()
        ticket.in_slot()
        assert counts(uploads, queue) == (1, 1)
    assert counts(uploads, queue) == (0, 0)


def test_given_back_where_the_request_fails() -> None:
    uploads, queue = Uploads(1), Queue(1)
    with pytest.raises(KeyError), Ticket(uploads, queue):
        raise KeyError
    assert counts(uploads, queue) == (0, 0)


@pytest.mark.wire("refused: queue full")
def test_a_full_queue_refuses_and_takes_nothing() -> None:
    uploads, queue = Uploads(9), Queue(2)
    with ExitStack() as stack:
        tickets = [stack.enter_context(Ticket(uploads, queue)) for _ in range(2)]
        with pytest.raises(Unavailable, match="queue"):
            stack.enter_context(Ticket(uploads, queue))
        assert counts(uploads, queue) == (2, 2)
        # A body that is complete leaves the place taken, a slot frees it.
        tickets[0].uploaded()
        with pytest.raises(Unavailable):
            stack.enter_context(Ticket(uploads, queue))
        tickets[0].in_slot()
        stack.enter_context(Ticket(uploads, queue))
    assert counts(uploads, queue) == (0, 0)


@pytest.mark.wire("refused: upload slots spent")
def test_spent_upload_slots_refuse_on_every_route() -> None:
    uploads, queue, other = Uploads(2), Queue(9), Queue(9)
    with ExitStack() as stack:
        ticket = stack.enter_context(Ticket(uploads, queue))
        stack.enter_context(Ticket(uploads, other))
        for route in (queue, other):
            with pytest.raises(Unavailable, match="uploads"):
                stack.enter_context(Ticket(uploads, route))
        assert (queue.count, other.count) == (1, 1)
        ticket.uploaded()
        stack.enter_context(Ticket(uploads, other))
    assert (uploads.count, queue.count, other.count) == (0, 0, 0)


def test_queues_of_two_routes_do_not_share_places() -> None:
    uploads, queue, other = Uploads(9), Queue(1), Queue(1)
    with Ticket(uploads, queue), Ticket(uploads, other):
        assert uploads.count == 2
