"""Clients that are slow, idle, many, or gone without a word."""

import os
import resource
import socket
from contextlib import ExitStack

import pytest

from tests.faults.conftest import StartFaulty
from tests.faults.rest import HEADERS, LIMIT, MIB, PONG, check_sizes, post, probe, study, whole
from tests.harness.raw import Connection, exchange, head
from tests.harness.wire import check_problem

TCP_REPAIR = 19  # linux/tcp.h: a socket in this mode is closed without a FIN
IDLE = 500


@pytest.mark.setting("SEND_TIMEOUT")
def test_a_reader_that_takes_nothing(faulty: StartFaulty) -> None:
    """It is cut; the model's thread goes on with the next."""
    server = faulty("large", send_timeout=0.5)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(100))
        server.wait_gauge("slots_taken", 1)
        server.wait_gauge("slots_taken", 0)
        answer = connection.read_answer()
        assert answer is not None
        assert (answer.status, answer.whole) == (200, False)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(100))
        assert len(whole(connection.read_answer()).body) > 64 * MIB
    server.wait(lambda: not any(server.process.gauges.values()), "a request is still there")
    assert "SECRET" not in server.process.log


@pytest.mark.wire("refused: client too slow")
@pytest.mark.setting("IDLE_TIMEOUT", "MIN_UPLOAD_RATE")
def test_a_sender_that_trickles(faulty: StartFaulty) -> None:
    """A byte at a time never pauses for long, and is too slow all the same."""
    server = faulty(idle_timeout=2, min_upload_rate=100_000)
    body = study(2 * MIB)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(head((*HEADERS, (b"Content-Length", b"%d" % len(body)))))
        for at in range(len(body)):
            connection.send(body[at : at + 1])
            whole(exchange(server.address, probe()))
            if not server.process.gauges["uploads"]:
                break
        check_problem(connection.read_answer(), 408)
    server.check_after()


@pytest.mark.wire("refused: client sends nothing")
@pytest.mark.setting("IDLE_TIMEOUT")
def test_a_client_that_vanishes_in_its_upload(faulty: StartFaulty) -> None:
    """No FIN, no RST: its upload slot and its file are free when it has been silent for too long."""
    server = faulty(idle_timeout=1)
    body = study(8 * MIB)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(head((*HEADERS, (b"Content-Length", b"%d" % len(body)))), body[: 6 * MIB])
        server.wait_gauge("uploads", 1)
        vanish(connection._socket)
    server.check_after()


@pytest.mark.setting("SEND_TIMEOUT")
def test_a_client_that_vanishes_in_its_answer(faulty: StartFaulty) -> None:
    server = faulty("large", send_timeout=1)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(100))
        server.wait_gauge("slots_taken", 1)
        vanish(connection._socket)
    server.wait(lambda: not any(server.process.gauges.values()), "a request is still there")
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(100))
        assert len(whole(connection.read_answer()).body) > 64 * MIB


def vanish(connected: socket.socket) -> None:
    """Close as a machine does that has lost its power: the peer hears nothing of it."""
    try:
        connected.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    except OSError:
        pytest.skip("needs Linux and the right to set TCP_REPAIR (CAP_NET_ADMIN)")
    connected.close()


def test_500_idle_connections(faulty: StartFaulty) -> None:
    """They take nobody's place, and are closed when their time is up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < IDLE + 200:
        if hard < IDLE + 200:
            pytest.skip("needs more file descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (IDLE + 200, hard))
    server = faulty(keep_alive_timeout=60, header_timeout=60)
    with ExitStack() as stack:
        for number in range(IDLE):
            connection = stack.enter_context(Connection(server.address, limit=LIMIT))
            if number % 2:
                connection.send(probe())
                assert whole(connection.read_answer()).body == PONG
        for _ in range(5):
            check_sizes(exchange(server.address, post(3 * MIB), limit=LIMIT), 3 * MIB)
        assert len(server.process.descriptors) > IDLE
    server.check_after()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
@pytest.mark.setting("KEEP_ALIVE_TIMEOUT", "HEADER_TIMEOUT")
def test_idle_connections_are_closed(faulty: StartFaulty) -> None:
    server = faulty(keep_alive_timeout=0.5, header_timeout=0.5)
    with ExitStack() as stack:
        opened = [stack.enter_context(Connection(server.address, limit=LIMIT)) for _ in range(50)]
        for connection in opened[::2]:
            connection.send(probe())
        for connection in opened[::2]:
            assert whole(connection.read_answer()).body == PONG
        for connection in opened:
            assert connection.rest() == b""
        server.check_after()
