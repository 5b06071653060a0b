"""HTTP, where what counts is when bytes come and how the connection ends."""

import itertools

import pytest

from tests.harness.log import LogCapture
from tests.harness.raw import Answer, Connection, Headers, chunked, head
from tests.odd_inputs.bench import GOOD_CALL, GOOD_REQUEST, Bench, check_accepted, check_unsaid
from tests.odd_inputs.table import GOOD, RELATED, Refused, typed

PIECE = bytes(1 << 20)
LONG = 20 * len(PIECE)
DECLARED = 9_000_000_000
DRAIN_BYTES = 256 << 20
KERNEL_BYTES = 64 << 20
"""More than the socket buffers of both ends hold."""

GOOD_TYPE = typed(RELATED)
JSON = typed(b"application/json")
CHUNKED = ((b"Transfer-Encoding", b"chunked"),)
EXPECT = ((b"Expect", b"100-continue"),)
INVALID = Refused(400, starts="invalid content-type")


def declared(length: int, headers: Headers = GOOD_TYPE) -> Headers:
    return (*headers, (b"Content-Length", b"%d" % length))


@pytest.mark.wire("request: Expect 100-continue")
def test_expect_100_continue(any_bench: Bench, log: LogCapture) -> None:
    with Connection(any_bench.address) as connection:
        connection.send(head(declared(len(GOOD)) + EXPECT))
        assert connection.read_interim() == 100
        connection.send(GOOD)
        any_bench.check(GOOD_CALL, connection.read_answer())
    any_bench.check_after(log)


@pytest.mark.wire("request: Expect 100-continue", "aftermath: early answer seen while still sending")
def test_expect_100_continue_with_a_wrong_type(any_bench: Bench, log: LogCapture) -> None:
    with Connection(any_bench.address) as connection:
        connection.send(head(declared(len(GOOD), typed(b"text/plain")) + EXPECT))
        answer = connection.read_answer()
        any_bench.check(INVALID, answer)
        assert answer is not None
        assert answer.interim == ()
    any_bench.check_after(log)


@pytest.mark.wire("aftermath: early answer seen while still sending")
def test_wrong_type_is_answered_while_20_mb_are_sent(any_bench: Bench, log: LogCapture) -> None:
    with Connection(any_bench.address) as connection:
        connection.send(head(declared(LONG, JSON)), PIECE)
        any_bench.check(INVALID, connection.read_answer())
        # All the rest is taken, or a client that reads only after sending would see a reset.
        left = LONG - len(PIECE)
        assert connection.send_until_closed(itertools.repeat(PIECE, left // len(PIECE))) == left
        assert connection.rest() == b""
    any_bench.check_after(log)


@pytest.mark.wire("aftermath: early answer seen while still sending")
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_wrong_type_is_seen_by_a_client_that_first_sends_it_all(
    framing: str, any_bench: Bench, log: LogCapture
) -> None:
    with Connection(any_bench.address) as connection:
        if framing == "length":
            connection.send(head(declared(LONG, JSON)), *itertools.repeat(PIECE, LONG // len(PIECE)))
        else:
            connection.send(head(JSON + CHUNKED), *chunked(bytes(LONG), len(PIECE)))
        any_bench.check(INVALID, connection.read_answer())
    any_bench.check_after(log)


@pytest.mark.wire("refused: body over its limit", "aftermath: early answer seen while still sending")
def test_9_gb_declared_is_answered_while_it_is_sent(any_bench: Bench, log: LogCapture) -> None:
    with Connection(any_bench.address) as connection:
        connection.send(head(declared(DECLARED)), PIECE)
        any_bench.check(Refused(413), connection.read_answer())
        assert connection.send_until_closed(itertools.repeat(PIECE, 8)) == 8 * len(PIECE)
        connection.half_close()
        assert connection.rest() == b""
    any_bench.check_after(log)


@pytest.mark.wire("aftermath: draining is bounded")
def test_a_client_that_never_stops_is_cut_off(any_bench: Bench, log: LogCapture) -> None:
    with Connection(any_bench.address) as connection:
        connection.send(head(declared(DECLARED)))
        any_bench.check(Refused(413), connection.read_answer())
        taken = connection.send_until_closed(itertools.repeat(PIECE, DECLARED // len(PIECE)))
        assert taken < DRAIN_BYTES + KERNEL_BYTES
    any_bench.check_after(log)


def test_two_requests_on_one_connection(any_bench: Bench, log: LogCapture) -> None:
    with Connection(any_bench.address) as connection:
        for _ in range(2):
            connection.send(GOOD_REQUEST)
            any_bench.check(GOOD_CALL, connection.read_answer())
    any_bench.check_after(log)


@pytest.mark.wire("aftermath: no file left")
def test_connection_reset_in_the_middle_of_the_body(any_bench: Bench, log: LogCapture) -> None:
    begun = any_bench.watched.begun
    with Connection(any_bench.address) as connection:
        connection.send(head(GOOD_TYPE + CHUNKED) + b"".join(chunked(GOOD, 20))[:60])
        any_bench.watched.wait_until(begun + 1)
        connection.reset()
    any_bench.check_after(log)
    assert log.tracebacks == []


@pytest.mark.wire("refused: body cut anywhere")
def test_whole_message_with_its_last_chunk_missing(any_bench: Bench, log: LogCapture) -> None:
    with Connection(any_bench.address) as connection:
        connection.send(head(GOOD_TYPE + CHUNKED), *chunked(GOOD, len(GOOD))[:-1])
        connection.half_close()
        answer = connection.read_answer()
    assert answer is None or answer.status != 200
    check_unsaid(answer)
    any_bench.check_after(log)


@pytest.mark.wire("refused: body cut anywhere")
def test_message_cut_by_the_end_of_the_connection(any_bench: Bench, log: LogCapture) -> None:
    with Connection(any_bench.address) as connection:
        connection.send(head(declared(len(GOOD))), GOOD[:-1])
        connection.half_close()
        answer = connection.read_answer()
    assert answer is None or answer.status != 200
    check_unsaid(answer)
    any_bench.check_after(log)


@pytest.mark.wire("refused: client sends nothing")
@pytest.mark.parametrize("sent", [b"", GOOD[:10]], ids=["no byte", "ten bytes"])
def test_client_stops_sending(sent: bytes, impatient_bench: Bench, log: LogCapture) -> None:
    with Connection(impatient_bench.address) as connection:
        connection.send(head(declared(1000)) + sent)
        impatient_bench.check(Refused(408), connection.read_answer())
    impatient_bench.check_after(log)


def test_hardened_pipelined_second_request(hardened_bench: Bench, log: LogCapture) -> None:
    answers: list[Answer] = []
    with Connection(hardened_bench.address) as connection:
        connection.send(GOOD_REQUEST + GOOD_REQUEST)
        while (answer := connection.read_answer()) is not None:
            answers.append(answer)
    good = [answer for answer in answers if answer.status == 200]
    calls = hardened_bench.model.take()
    assert len(good) <= 1
    assert len(calls) == 1 or not good
    assert len(calls) <= 1
    if good:
        check_accepted(GOOD_CALL, good[0], calls)
    hardened_bench.check_after(log)


def test_hardened_2_mb_of_header(hardened_bench: Bench, log: LogCapture) -> None:
    request = head((*declared(len(GOOD)), (b"X-A", b"SECRET" * 350_000))) + GOOD
    with Connection(hardened_bench.address) as connection:
        connection.send_until_closed([request])
        answer = connection.read_answer()
    assert answer is not None
    assert answer.status == 431
    check_unsaid(answer)
    hardened_bench.check_after(log)
