"""Frames between a gateway and its model processes: a JSON head, bytes, and descriptors, over a Unix socket.

The two sides take turns: one frame, then the answer to it. So a frame is never read beyond its end, and the
descriptors that come with its first byte are its own (unix(7), SCM_RIGHTS).
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

MAX_DESCRIPTORS = 200  # in one frame; the kernel takes 253

_PREFIX = struct.Struct("=IQ")  # bytes of the head, bytes of the payload
_ANCILLARY = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
_BUFFERS = 1024  # at once; the kernel takes no more (UIO_MAXIOV, sendmsg(2))
_AT_ONCE = 64 << 10  # bytes: most frames come in one piece


class PeerGone(Exception):
    """The other side has ended, or broken off."""


class DescriptorsLost(PeerGone):
    """The other side is there, but not all of its descriptors: this process may open no more files."""


class Frame(NamedTuple):
    """`head` is a JSON object, `payload` bytes, `descriptors` are open and the receiver's to close."""

    head: dict[str, Any]
    payload: memoryview
    descriptors: list[int]

    def close(self) -> None:
        """Close what descriptors nobody took."""
        _close(self.descriptors)


class Begun(NamedTuple):
    """The begin of a frame: what came at once, with all descriptors, which are the receiver's to close."""

    data: bytes
    descriptors: list[int]

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the frame is still to come."""
        return len(self.data) >= _PREFIX.size and len(self.data) == _PREFIX.size + sum(
            _PREFIX.unpack_from(self.data)
        )


class Piece(NamedTuple):
    """What one of several that share a frame has of it."""

    head: dict[str, Any]
    payload: Sequence[bytes | memoryview] = ()
    descriptors: Sequence[int] = ()


def merged(head: dict[str, Any], pieces: Sequence[Piece]) -> Piece:
    """Put several pieces, which have no more descriptors than one frame may have, into one."""
    sizes = [[piece.head, sum(map(len, piece.payload)), len(piece.descriptors)] for piece in pieces]
    payload = [part for piece in pieces for part in piece.payload]
    descriptors = [number for piece in pieces for number in piece.descriptors]
    return Piece(head | {"pieces": sizes}, payload, descriptors)


def split(frame: Frame) -> list[Frame]:
    """Return the pieces of a frame; its descriptors are theirs from now on."""
    found, payload_at, descriptors_at = [], 0, 0
    for head, payload, descriptors in frame.head["pieces"]:
        found.append(
            Frame(
                head,
                frame.payload[payload_at : payload_at + payload],
                frame.descriptors[descriptors_at : descriptors_at + descriptors],
            )
        )
        payload_at += payload
        descriptors_at += descriptors
    frame.descriptors.clear()
    return found


def send(
    sock: socket.socket,
    head: dict[str, Any],
    payload: Sequence[bytes | memoryview] = (),
    descriptors: Sequence[int] = (),
) -> None:
    """Send one frame; `descriptors` stay the caller's. Raises `PeerGone`."""
    text = json.dumps(head).encode()
    size = sum(len(piece) for piece in payload)
    pieces = [memoryview(_PREFIX.pack(len(text), size) + text), *(memoryview(piece) for piece in payload)]
    if len(pieces) > _BUFFERS:  # they are small
        pieces = [memoryview(b"".join(pieces))]
    try:
        sent = socket.send_fds(sock, pieces, descriptors)
        for piece in pieces:
            if sent < len(piece):
                sock.sendall(piece[sent:])
            sent = max(0, sent - len(piece))
    except OSError as error:
        raise PeerGone from error


def in_bytes(head: dict[str, Any], payload: Sequence[bytes | memoryview] = ()) -> bytes:
    """Return a frame as it is sent where no descriptor crosses."""
    text = json.dumps(head).encode()
    return b"".join([_PREFIX.pack(len(text), sum(map(len, payload))), text, *payload])


def receive(sock: socket.socket) -> Frame:
    """Wait for one frame. Raises `PeerGone`."""
    return complete(sock, begin(sock))


def begin(sock: socket.socket) -> Begun:
    """Take the begin of a frame. Raises `PeerGone`, also where `sock` does not wait and there is none."""
    try:
        data, ancillary, flags, _ = sock.recvmsg(_AT_ONCE, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    except OSError as error:
        raise PeerGone from error
    begun = Begun(data, [])
    for _, _, numbers in ancillary:
        begun.descriptors.extend(array.array("i", numbers))
    if flags & socket.MSG_CTRUNC:
        _close(begun.descriptors)
        raise DescriptorsLost("too many open files (RLIMIT_NOFILE): descriptors that came were lost")
    if not data:
        raise PeerGone
    return begun


def complete(sock: socket.socket, begun: Begun) -> Frame:
    """Return the frame; waits for what of it is still to come. Raises `PeerGone`."""
    data, descriptors = begun
    try:
        while len(data) < _PREFIX.size:
            data += _some(sock, _PREFIX.size - len(data))
        head_size, payload_size = _PREFIX.unpack_from(data)
        begin = _PREFIX.size + head_size
        frame = bytearray(begin + payload_size)
        frame[: len(data)] = data
        room = memoryview(frame)[len(data) :]
        while room:
            count = sock.recv_into(room)
            if not count:
                raise PeerGone
            room = room[count:]
        return Frame(json.loads(frame[_PREFIX.size : begin]), memoryview(frame)[begin:], descriptors)
    except BaseException as error:
        _close(descriptors)
        if isinstance(error, OSError):
            raise PeerGone from error
        raise


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def _some(sock: socket.socket, size: int) -> bytes:
    data = sock.recv(size)
    if not data:
        raise PeerGone
    return data
