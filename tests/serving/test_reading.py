"""The states of a connection: every one can be reached and left, and the last ones cannot."""

import pytest

from inference_gateway.serving.reading import NEXT, Event, State

STORIES = {
    "two requests": ("REQUEST HEADER_END REQUEST_END " * 2, State.BETWEEN),
    "an offer, then the same without it": ("REQUEST OFFER REQUEST HEADER_END REQUEST_END", State.BETWEEN),
    "a request before the answer": ("REQUEST HEADER_END REQUEST_END EARLY_REQUEST", State.SECOND),
    "garbage": ("REFUSAL", State.REFUSED),
    "a refused header": ("REQUEST REFUSAL", State.REFUSED),
    "a broken chunk": ("REQUEST HEADER_END REFUSAL", State.REFUSED),
    "a refused header behind an offer": ("REQUEST OFFER REQUEST REFUSAL", State.REFUSED),
}


@pytest.mark.parametrize(("events", "end"), STORIES.values(), ids=STORIES)
def test_stories(events: str, end: State) -> None:
    state = State.BETWEEN
    for name in events.split():
        state = NEXT[state][Event[name]]
    assert state is end


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    assert set(NEXT) == set(State)
    assert {state for row in NEXT.values() for state in row.values()} == set(State)
    assert {event for row in NEXT.values() for event in row} == set(Event)


def test_nothing_follows_what_is_thrown_away() -> None:
    for state in State:
        assert (NEXT[state] == {}) == (state >= State.SECOND)


def test_all_but_the_last_can_be_refused() -> None:
    for state in State:
        assert (Event.REFUSAL in NEXT[state]) == (state < State.SECOND)
