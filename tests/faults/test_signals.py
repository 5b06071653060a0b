"""SIGTERM at each stage of a request: in time, exit code 0, and nobody is told what is not so."""

import signal

import pytest

from tests.faults.conftest import StartFaulty
from tests.faults.rest import HEADERS, LIMIT, MIB, check_sizes, post, probe, study, whole
from tests.harness.raw import Connection, exchange, head
from tests.harness.wire import check_problem

pytestmark = pytest.mark.slow


@pytest.mark.wire("refused: draining")
@pytest.mark.parametrize("stage", ["header", "upload", "queue", "model", "answer"])
def test_what_does_not_end_is_refused_or_cut(stage: str, faulty: StartFaulty) -> None:
    """Nobody lets anything go: the drain's time runs out."""
    model = {"answer": "large", "upload": "sizes", "header": "sizes"}.get(stage, "held")
    server = faulty(model, drain_timeout=1)
    with Connection(server.address, limit=LIMIT) as first, Connection(server.address, limit=LIMIT) as second:
        watched = first
        if stage == "header":
            first.send(post(100)[:30])
        elif stage == "upload":
            body = study(2 * MIB)
            first.send(head((*HEADERS, (b"Content-Length", b"%d" % len(body)))), body[:MIB])
            server.wait_gauge("uploads", 1)
        else:
            first.send(post(100))
            if model == "held":
                server.wait_begun()
            else:
                server.wait_gauge("slots_taken", 1)
            if stage == "queue":
                second.send(post(200))
                server.wait_gauge("queued", 1)
                watched = second
        server.process.popen.send_signal(signal.SIGTERM)
        server.process.wait(LIMIT)
        answer = watched.read_answer()
    if stage == "answer":
        assert answer is not None
        assert (answer.status, answer.whole) == (200, False)
    elif stage == "header":
        assert answer is None
    else:
        check_problem(answer, 503)
        assert answer is not None
        assert answer.header("retry-after")
    server.check_ended()


@pytest.mark.parametrize("stage", ["upload", "queue", "model"])
def test_what_ends_in_time_is_answered(stage: str, faulty: StartFaulty) -> None:
    server = faulty("sizes" if stage == "upload" else "held")
    with Connection(server.address, limit=LIMIT) as first, Connection(server.address, limit=LIMIT) as second:
        body = study(2 * MIB)
        if stage == "upload":
            first.send(head((*HEADERS, (b"Content-Length", b"%d" % len(body)))), body[:MIB])
            server.wait_gauge("uploads", 1)
        else:
            first.send(post(2 * MIB))
            server.wait_begun()
            if stage == "queue":
                second.send(post(300))
                server.wait_gauge("queued", 1)
        server.process.popen.send_signal(signal.SIGTERM)
        server.process.wait_closed()
        if stage == "upload":
            first.send(body[MIB:])
        else:
            server.let_go()
        check_sizes(first.read_answer(), 2 * MIB)
        if stage == "queue":
            server.wait_begun()
            server.let_go()
            check_sizes(second.read_answer(), 300)
    server.check_ended()


def test_an_idle_server_ends_at_once(faulty: StartFaulty) -> None:
    server = faulty()
    whole(exchange(server.address, probe()))
    server.process.popen.send_signal(signal.SIGTERM)
    server.check_ended()


@pytest.mark.parametrize("stage", ["upload", "model", "answer"])
def test_a_second_signal(stage: str, faulty: StartFaulty) -> None:
    """Whatever goes on, the process is gone; nobody takes what was cut for an answer."""
    server = faulty({"upload": "sizes", "model": "held", "answer": "large"}[stage], drain_timeout=LIMIT)
    sent = post(8 * MIB)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(sent[: 6 * MIB] if stage == "upload" else sent)
        if stage == "model":
            server.wait_begun()
        else:
            server.wait_gauge("uploads" if stage == "upload" else "slots_taken", 1)
        server.process.popen.send_signal(signal.SIGTERM)
        server.process.wait_closed()
        server.process.popen.send_signal(signal.SIGTERM)
        server.process.wait()
        answer = connection.read_answer()
    assert answer is None or answer.status == 503 or not answer.whole
    server.check_ended(orderly=False)  # uvicorn logs that it was not
