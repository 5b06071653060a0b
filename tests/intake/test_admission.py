"""Admission: upload slots and places in the queue, each taken and given back once."""

from contextlib import ExitStack
from threading import Thread

import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import booleans, integers

from inference_gateway.errors import Unavailable
from inference_gateway.intake.admission import Queue, Ticket, Uploads


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


class Admission(RuleBasedStateMachine):
    """Requests come, go on, fail and leave in any order: the counts are those of the ones that are there."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.uploads = Uploads(3)
        self.queues = [Queue(2), Queue(4)]
        self.held: dict[int, tuple[Ticket, int, set[str]]] = {}  # what each has, by our own count

    def having(self, what: str, route: int | None = None) -> int:
        return sum(what in has and route in (None, on) for _, on, has in self.held.values())

    @rule(target=tickets, route=integers(0, 1))
    def come(self, route: int) -> int:
        ticket = Ticket(self.uploads, self.queues[route])
        number = id(ticket)
        full = self.having("upload") == 3 or self.having("place", route) == self.queues[route].limit
        try:
            ticket.__enter__()
        except Unavailable:
            assert full
        else:
            assert not full
            self.held[number] = (ticket, route, {"upload", "place"})
        return number

    @rule(number=tickets)
    def complete_its_body(self, number: int) -> None:
        if number in self.held:
            ticket, _, has = self.held[number]
            ticket.uploaded()
            has.discard("upload")

    @rule(number=tickets)
    def get_a_slot(self, number: int) -> None:
        """On the model's thread, as it happens."""
        if number in self.held:
            ticket, _, has = self.held[number]
            thread = Thread(target=ticket.in_slot)
            thread.start()
            thread.join()
            has.discard("place")

    @rule(number=tickets, failed=booleans())
    def end(self, number: int, failed: bool) -> None:
        if number in self.held:
            ticket, _, _ = self.held.pop(number)
            error = KeyError() if failed else None
            ticket.__exit__(error and KeyError, error, None)

    @invariant()
    def the_counts_are_right(self) -> None:
        assert self.uploads.count == self.having("upload") <= 3
        for route, queue in enumerate(self.queues):
            assert queue.count == self.having("place", route) <= queue.limit

    def teardown(self) -> None:
        for ticket, _, _ in self.held.values():
            ticket.__exit__(None, None, None)
        assert (self.uploads.count, self.queues[0].count, self.queues[1].count) == (0, 0, 0)


TestAdmission = Admission.TestCase
TestAdmission.settings = settings(max_examples=100)
