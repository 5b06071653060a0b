"""A connection that is shut down when its time is up, and not before."""

import socket
import threading
from collections.abc import Iterator

import pytest

from inference_gateway.caller.cutoff import Cutoff

LIMIT = 30.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(LIMIT)
        yield one, other


def test_whoever_reads_wakes(pair: tuple[socket.socket, socket.socket]) -> None:
    cutoff = Cutoff()
    cutoff.start(0.01, pair[0])
    assert pair[0].recv(1) == b""
    assert cutoff.passed


def test_what_has_come_in_time_stays_open(pair: tuple[socket.socket, socket.socket]) -> None:
    cutoff = Cutoff()
    for _ in range(3):
        cutoff.start(60, pair[0])  # anew: the one before is forgotten
    cutoff.stop()
    cutoff.stop()
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(LIMIT)
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
    pair[1].sendall(b"x")
    assert pair[0].recv(1) == b"x"
    assert not cutoff.passed


def test_a_connection_that_is_closed_or_not_known() -> None:
    closed = socket.socket()
    closed.close()
    cutoff = Cutoff()
    cutoff.start(0, None)
    assert not cutoff.passed
    cutoff.start(0, closed)
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(LIMIT)
    assert cutoff.passed
