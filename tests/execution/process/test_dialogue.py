"""A dialogue: questions have numbers, answers are taken with and without waiting for them."""

import os
import socket
from collections.abc import Iterator

import pytest

from inference_gateway.execution.process.dialogue import Dialogue, WrongAnswer
from inference_gateway.execution.process.frames import PeerGone, receive, send

Pair = tuple[Dialogue, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    dialogue = Dialogue(ours)
    with other:
        yield dialogue, other
    dialogue.close()


def answered(other: socket.socket, payload: bytes = b"", **head: object) -> None:
    asked = receive(other).head["asked"]
    send(other, {"asked": asked} | head, [payload])


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("looks", [0, 1, 2])
def test_a_question_and_its_answer(wait: bool, looks: int, pair: Pair) -> None:
    dialogue, other = pair
    for number in range(3):
        dialogue.ask({"kind": "call", "number": number}, [b"xy"], wait=wait)
        if looks == 2:
            assert dialogue.look() is None
        answered(other, b"z", number=number)
        if looks:
            frame = dialogue.look()
            assert frame is not None
            assert bytes(frame.payload) == b"z"
        frame = dialogue.answer()
        assert (frame.head["number"], bytes(frame.payload)) == (number, b"z")


def test_an_answer_that_is_not_whole_is_waited_for(pair: Pair) -> None:
    dialogue, other = pair
    dialogue.ask({}, wait=False)
    file = os.memfd_create("x")
    text = b'{"asked": 1}'
    frame = len(text).to_bytes(4, "little") + (5).to_bytes(8, "little") + text + b"12345"
    socket.send_fds(other, [frame[:20]], [file])
    assert dialogue.look() is None
    other.sendall(frame[20:])
    found = dialogue.answer()
    assert bytes(found.payload) == b"12345"
    assert os.fstat(found.descriptors[0]).st_ino == os.fstat(file).st_ino
    found.close()
    os.close(file)


@pytest.mark.parametrize("looks", [True, False])
def test_an_answer_to_another_question(looks: bool, pair: Pair) -> None:
    dialogue, other = pair
    dialogue.ask({})
    send(other, {"asked": 7})
    if looks:
        assert dialogue.look() is None
    with pytest.raises(WrongAnswer):
        dialogue.answer()


@pytest.mark.parametrize("looks", [True, False])
def test_who_has_gone_does_not_answer(looks: bool, pair: Pair) -> None:
    dialogue, other = pair
    dialogue.ask({})
    other.close()
    if looks:
        assert dialogue.look() is None
    with pytest.raises(PeerGone):
        dialogue.answer()


def test_what_could_not_be_sent_has_no_answer(pair: Pair) -> None:
    """The other side is there, and waits: nobody may wait for its answer."""
    dialogue, _ = pair
    dialogue.ask({}, [bytes(10_000_000)], wait=False)
    with pytest.raises(PeerGone):
        dialogue.answer()


def test_an_answer_that_takes_too_long(pair: Pair) -> None:
    dialogue, other = pair
    dialogue.ask({})
    with pytest.raises(TimeoutError):
        dialogue.answer(0.01)
    answered(other)
    assert dialogue.answer().head == {"asked": 1}
