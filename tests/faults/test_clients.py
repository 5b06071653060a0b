"""Clients that are slow, idle, many, or gone without a word."""

import os
import resource
import sys
import time
from contextlib import ExitStack

import pytest

from tests.faults.conftest import StartFaulty
from tests.faults.rest import HEADERS, LIMIT, MIB, PONG, check_sizes, post, probe, study, whole
from tests.harness.raw import Connection, exchange, head
from tests.harness.wire import check_problem

pytestmark = pytest.mark.slow

PROBING = ("env", "FAULTS_PROBE_SECONDS=1")
"""With a SEND_TIMEOUT that is no longer: the kernel waits for the longer of the two."""
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
    server.process.wait_line("the client took nothing of the answer for too long")
    server.check_after()


@pytest.mark.setting("SEND_TIMEOUT")
def test_a_reader_that_is_slow(faulty: StartFaulty) -> None:
    """It takes some of the answer all the time, less than a block in SEND_TIMEOUT, and gets all of it."""
    server = faulty("large", send_timeout=2)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.take_at_most(1 << 16)
        connection.send(post(100))
        begin, taken = time.monotonic(), 0
        while taken < 500_000:  # at 100 KB a second, and between two pieces there is a probe
            allowed = int((time.monotonic() - begin) * 100_000) - taken
            assert len(connection.read(allowed)) == allowed
            taken += allowed
            assert whole(exchange(server.address, probe())).body == PONG
        assert len(connection.rest()) > 64 * MIB - taken
    server.check_after()


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


needs_filters = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="socket filters of Linux")


@needs_filters
@pytest.mark.wire("refused: client sends nothing")
@pytest.mark.setting("IDLE_TIMEOUT")
@pytest.mark.parametrize("chunk", [0, MIB], ids=["Content-Length", "chunked"])
def test_a_client_that_vanishes_in_its_upload(chunk: int, faulty: StartFaulty) -> None:
    """Its upload slot and its file are free when it has been silent for too long, and then its connection."""
    server = faulty(idle_timeout=1, send_timeout=1)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(8 * MIB, chunk=chunk)[: 6 * MIB])
        server.wait_gauge("uploads", 1)
        connection.silence()
        server.check_after()
    server.process.wait_line("refused: nothing of the body came for too long")


@needs_filters
@pytest.mark.parametrize("idle_limit", ["none", "3600"])
def test_a_client_that_vanishes_where_its_upload_may_pause(idle_limit: str, faulty: StartFaulty) -> None:
    """The kernel notices that nobody is there."""
    server = faulty(prefix=PROBING, send_timeout=1, idle_timeout=idle_limit, min_upload_rate=0)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(8 * MIB)[: 6 * MIB])
        server.wait_gauge("uploads", 1)
        connection.silence()
        server.check_after()
    server.process.wait_line("the client left")


@needs_filters
def test_a_client_that_vanishes_in_the_queue(faulty: StartFaulty) -> None:
    """Its place is free, and the model is never called for it: it would wait for ever to be let go."""
    server = faulty("held", prefix=PROBING, send_timeout=1)
    with Connection(server.address, limit=LIMIT) as first, Connection(server.address, limit=LIMIT) as second:
        first.send(post(2 * MIB))
        server.wait_begun()
        second.send(post(3 * MIB))
        server.wait_gauge("queued", 1)
        second.silence()
        server.wait_gauge("queued", 0)
        server.process.wait_line("the client left")
        server.let_go()
        check_sizes(first.read_answer(), 2 * MIB)
        server.check_after()


@needs_filters
def test_a_client_that_vanishes_while_the_model_works(faulty: StartFaulty) -> None:
    """The call is an orphan from then on; its slot and its file are free when it returns."""
    server = faulty("held", prefix=PROBING, send_timeout=1)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(2 * MIB))
        server.wait_begun()
        connection.silence()
        server.wait_gauge("orphaned", 1)
        assert server.process.gauges["slots_taken"] == 1
        server.let_go()
        server.check_after()
    server.process.wait_line("the client left")


@needs_filters
@pytest.mark.setting("SEND_TIMEOUT")
def test_a_client_that_vanishes_in_its_answer(faulty: StartFaulty) -> None:
    server = faulty("large", send_timeout=1)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(100))
        server.wait_gauge("slots_taken", 1)
        connection.silence()
        server.check_after()


@needs_filters
def test_a_client_that_vanishes_between_two_requests(faulty: StartFaulty) -> None:
    """Also where idle connections may stay for ever."""
    server = faulty(prefix=PROBING, send_timeout=1, keep_alive_timeout="none")
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(post(100))
        check_sizes(connection.read_answer(), 100)
        connection.silence()
        server.check_after()


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
