"""Frames: what goes in comes out, descriptors too, or the peer is gone."""

import os
import resource
import socket
import threading
from collections.abc import Iterator

import pytest

from inference_gateway.execution.process.frames import PeerGone, Piece, merged, receive, send, split

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with one, other:
        yield one, other


@pytest.mark.parametrize("size", [0, 1, 65_500, 65_536, 5_000_000])
@pytest.mark.parametrize("head", [{}, {"a": "ü" * 100_000}], ids=["small head", "large head"])
def test_a_frame_comes_as_it_went(size: int, head: dict[str, str], pair: Pair) -> None:
    payload: list[bytes | memoryview] = [os.urandom(size // 2), memoryview(os.urandom(size - size // 2))]
    sender = threading.Thread(target=send, args=(pair[0], head, payload))
    sender.start()
    frame = receive(pair[1])
    sender.join()
    assert frame.head == head
    assert frame.payload == b"".join(payload)
    assert frame.descriptors == []


def test_a_frame_of_many_small_buffers(pair: Pair) -> None:
    """The kernel takes 1024 at once (sendmsg(2), EMSGSIZE)."""
    payload: list[bytes | memoryview] = [bytes([number % 256]) for number in range(5000)]
    send(pair[0], {}, payload)
    assert receive(pair[1]).payload == b"".join(payload)


def test_pieces_that_share_a_frame(pair: Pair) -> None:
    """Each has its own head, bytes and descriptors again."""
    files = [os.memfd_create(str(number)) for number in range(3)]
    pieces = [
        Piece({"number": 0}, [b"ab", b"c"], files[:2]),
        Piece({"number": 1}),
        Piece({"number": 2}, [b"d"], files[2:]),
    ]
    send(pair[0], *merged({"kind": "several"}, pieces))
    frame = receive(pair[1])
    assert frame.head["kind"] == "several"
    found = split(frame)
    assert [piece.head for piece in found] == [piece.head for piece in pieces]
    assert [bytes(piece.payload) for piece in found] == [b"abc", b"", b"d"]
    numbers = [[os.fstat(file).st_ino for file in piece.descriptors] for piece in found]
    assert numbers == [[os.fstat(file).st_ino for file in piece.descriptors] for piece in pieces]
    frame.close()  # has none any more
    for piece in found:
        piece.close()
    for file in files:
        os.close(file)


def test_descriptors_cross_and_are_not_inherited(pair: Pair) -> None:
    files = [os.memfd_create(str(number)) for number in range(5)]
    send(pair[0], {}, [b"x" * 10], files)
    frame = receive(pair[1])
    assert [os.fstat(file).st_ino for file in frame.descriptors] == [os.fstat(file).st_ino for file in files]
    assert not any(os.get_inheritable(file) for file in frame.descriptors)
    kept = list(frame.descriptors)
    frame.close()
    for file in kept:
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(file)
    for file in files:
        os.close(file)


def test_a_peer_that_has_gone(pair: Pair) -> None:
    pair[0].close()
    with pytest.raises(PeerGone):
        receive(pair[1])
    with pytest.raises(PeerGone):
        send(pair[1], {}, [bytes(10_000_000)])


@pytest.mark.parametrize("sent", [5, 20, 1000])
def test_a_peer_that_goes_in_the_middle_of_a_frame(sent: int, pair: Pair) -> None:
    whole = threading.Thread(target=send, args=(pair[0], {"a": 1}, [bytes(2000)]))
    whole.start()
    whole.join()
    data = pair[1].recv(10_000)
    file = os.memfd_create("x")
    socket.send_fds(pair[0], [data[:sent]], [file])
    pair[0].shutdown(socket.SHUT_WR)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(PeerGone):
        receive(pair[1])
    assert len(os.listdir("/proc/self/fd")) <= before
    os.close(file)


def test_descriptors_for_which_there_is_no_room_are_missed(pair: Pair) -> None:
    """The kernel leaves out those that do not fit (unix(7)): the frame would say less than was sent."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = [os.memfd_create(str(number)) for number in range(3)]
    send(pair[0], {}, (), files)
    before = os.listdir("/proc/self/fd")
    spare = os.dup(files[0])  # the lowest number that is free
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 1, limits[1]))
    try:
        with pytest.raises(PeerGone, match="descriptors"):
            receive(pair[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    for file in files:
        os.close(file)
