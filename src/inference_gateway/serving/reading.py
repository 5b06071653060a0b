"""What a connection of the hardened server is reading: its states, and what leads from one to the other.

An event that a state does not know is a mistake of the protocol's, and a `KeyError`. What has been answered
is no part of it: uvicorn knows that (`cycle.response_complete`).
"""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """What comes next, or is under way. From `SECOND` on what comes is thrown away."""

    BETWEEN = 0  # requests: nothing of the next one has come
    HEADER = 1
    OFFER = 2  # a header is in that offers another protocol; it is read again without the offer
    BODY = 3  # the application has been called
    SECOND = 4  # another request came before the first was answered: the first answer is the last
    REFUSED = 5  # the connection has had its last answer


class Event(IntEnum):
    """What the parser finds, or the protocol decides."""

    REQUEST = 0  # its first byte
    EARLY_REQUEST = 1  # the same, while the one before is not answered
    OFFER = 2  # the header's end, where it offers another protocol
    HEADER_END = 3
    REQUEST_END = 4
    REFUSAL = 5


NEXT: dict[State, dict[Event, State]] = {
    State.BETWEEN: {
        Event.REQUEST: State.HEADER,
        Event.EARLY_REQUEST: State.SECOND,
        Event.REFUSAL: State.REFUSED,
    },
    State.HEADER: {
        Event.HEADER_END: State.BODY,
        Event.OFFER: State.OFFER,
        Event.REFUSAL: State.REFUSED,
    },
    State.OFFER: {
        Event.REQUEST: State.HEADER,
        Event.REFUSAL: State.REFUSED,
    },
    State.BODY: {
        Event.REQUEST_END: State.BETWEEN,
        Event.REFUSAL: State.REFUSED,
    },
    State.SECOND: {},
    State.REFUSED: {},
}
