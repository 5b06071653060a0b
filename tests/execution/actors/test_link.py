"""The link of a turn: frames and files over both kinds of connection, and strangers at either end."""

import fcntl
import os
import secrets
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from inference_gateway.execution.actors.link import WORD, Address, Door, Link, knock, reach
from inference_gateway.execution.process.frames import Frame, PeerGone, Piece

LIMIT = 30.0
SIZE = (3 << 20) + 5  # bytes of a file: some blocks, and an odd end
ANY = (0, 0)


def words() -> tuple[bytes, bytes]:
    return secrets.token_bytes(WORD), secrets.token_bytes(WORD)


def visit(address: Address, word: bytes, answer: bytes, *, by_network: bool = False) -> Link:
    return knock(reach(address, by_network=by_network), address, word, answer)


def in_thread(function: Callable[[], Any]) -> "Future[Any]":
    """What comes of a function on a thread of its own."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with closing(Door("127.0.0.1", ANY, tmp_path)) as found:
        yield found


@contextmanager
def linked(door: Door, *, by_network: bool) -> Iterator[tuple[Link, Link]]:
    """The gateway's end, and the actor's."""
    word, answer = words()
    let_in = in_thread(lambda: door.let_in(word, answer, LIMIT))
    with (
        closing(visit(door.address, word, answer, by_network=by_network)) as ours,
        closing(let_in.result(LIMIT)) as theirs,
    ):
        yield ours, theirs


def file_of(data: bytes, folder: Path) -> int:
    path = folder / "data"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    path.unlink()
    return descriptor


def crossed(sender: Link, receiver: Link, piece: Piece) -> Frame:
    """What a frame is on the other side."""
    came = in_thread(receiver.receive)
    sender.send(piece)
    frame: Frame = came.result(LIMIT)
    return frame


@pytest.fixture(params=["one machine", "network", "encrypted network"])
def by_network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> bool:
    if request.param == "encrypted network":
        certificates(tmp_path_factory.mktemp("certificates"), monkeypatch)
    return bool(request.param != "one machine")


def certificates(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Ray's TLS switched on."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate")
    certificate.private_key_pem.write_to_path(folder / "key")
    monkeypatch.setenv("RAY_USE_TLS", "1")
    monkeypatch.setenv("RAY_TLS_SERVER_CERT", str(folder / "certificate"))
    monkeypatch.setenv("RAY_TLS_SERVER_KEY", str(folder / "key"))
    monkeypatch.setenv("RAY_TLS_CA_CERT", str(folder / "ca"))


def test_frames_and_files_cross_both_ways(by_network: bool, tmp_path: Path) -> None:
    data = os.urandom(SIZE)
    with ExitStack() as stack:
        door = stack.enter_context(closing(Door("127.0.0.1", ANY, tmp_path)))
        ours, theirs = stack.enter_context(linked(door, by_network=by_network))
        given = file_of(data, tmp_path)
        stack.callback(os.close, given)
        assert not ours.is_over
        for sender, receiver in ((ours, theirs), (theirs, ours)):
            asked = Piece({"kind": "call"}, [b"payload ", memoryview(b"in pieces")], [given, given])
            frame = crossed(sender, receiver, asked)
            assert frame.head["kind"] == "call"
            assert bytes(frame.payload) == b"payload in pieces"
            assert [os.pread(each, SIZE + 1, 0) for each in frame.descriptors] == [data, data]
            is_same = [os.fstat(each).st_ino == os.fstat(given).st_ino for each in frame.descriptors]
            assert is_same == [not by_network] * 2  # nothing was copied
            frame.close()
            assert bytes(crossed(sender, receiver, Piece({})).payload) == b""


def test_a_study_lies_in_a_file_without_a_name_and_a_result_in_sealed_memory(
    door: Door, tmp_path: Path
) -> None:
    given = file_of(b"\5" * SIZE, tmp_path)
    with linked(door, by_network=True) as (ours, theirs):
        study = crossed(ours, theirs, Piece({}, [], [given]))
        status = os.fstat(study.descriptors[0])
        assert (status.st_nlink, stat.S_IMODE(status.st_mode)) == (0, 0o600)
        assert status.st_dev == os.stat(tmp_path).st_dev
        result = crossed(theirs, ours, Piece({}, [], study.descriptors))
        seals = fcntl.fcntl(result.descriptors[0], fcntl.F_GET_SEALS)
        assert seals & fcntl.F_SEAL_SHRINK
        study.close()
        result.close()
    os.close(given)


@pytest.mark.parametrize("by_network", [False, True])
def test_who_has_not_the_word_is_told_nothing(by_network: bool, door: Door) -> None:
    word, answer = words()
    let_in = in_thread(lambda: door.let_in(word, answer, LIMIT))
    with pytest.raises(PeerGone):
        visit(door.address, secrets.token_bytes(WORD), answer, by_network=by_network)
    with closing(visit(door.address, word, answer, by_network=by_network)), closing(let_in.result(LIMIT)):
        pass


def test_an_actor_that_is_another_is_told_nothing() -> None:
    """Its port was taken over."""
    word, answer = words()
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:

        def pretend() -> bytes:
            sock, _ = server.accept()
            with sock:
                heard = sock.recv(1 << 20)
                sock.sendall(secrets.token_bytes(WORD))
                return heard + sock.recv(1 << 20)

        heard = threads.submit(pretend)
        with pytest.raises(PeerGone):
            visit(Address("nobody", *server.getsockname()), word, answer)
        assert heard.result() == word


def test_where_nobody_is_it_is_said(door: Door) -> None:
    address = door.address
    door.close()
    with pytest.raises(OSError, match="refused"):
        reach(address)


def test_nobody_who_comes_is_waited_for_in_vain(door: Door) -> None:
    with pytest.raises(TimeoutError):
        door.let_in(*words(), 0.01)


@pytest.mark.parametrize("by_network", [False, True])
def test_an_answer_that_does_not_come_in_time(by_network: bool, door: Door) -> None:
    with linked(door, by_network=by_network) as (ours, _), pytest.raises(TimeoutError):
        ours.receive(0.01)


def test_who_goes_in_the_middle_is_noticed(by_network: bool, tmp_path: Path) -> None:
    given = file_of(bytes(SIZE), tmp_path)
    with (
        closing(Door("127.0.0.1", ANY, tmp_path)) as door,
        linked(door, by_network=by_network) as (ours, theirs),
    ):
        waits = in_thread(theirs.receive)
        ours.hang_up()
        with pytest.raises(PeerGone):
            waits.result(LIMIT)
        assert theirs.is_over
        with pytest.raises(PeerGone):
            ours.send(Piece({}, [], [given]))
    os.close(given)


def test_a_file_that_becomes_shorter_ends_the_link(door: Door, tmp_path: Path, monkeypatch: Any) -> None:
    given = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR)
    os.ftruncate(given, SIZE)
    status = os.fstat(given)
    os.ftruncate(given, SIZE - 1)
    with linked(door, by_network=True) as (ours, _):
        monkeypatch.setattr(os, "fstat", lambda _: status)
        with pytest.raises(PeerGone, match="shorter"):
            ours.send(Piece({}, [], [given]))
    monkeypatch.undo()
    os.close(given)


def test_a_study_without_room_is_the_receivers_failure(tmp_path: Path) -> None:
    """And nothing that says that the other side were gone."""
    given = file_of(bytes(SIZE), tmp_path)
    missing = tmp_path / "missing"
    with closing(Door("127.0.0.1", ANY, missing)) as door, linked(door, by_network=True) as (ours, theirs):
        waits = in_thread(theirs.receive)
        ours.send(Piece({}, [], [given]))
        with pytest.raises(FileNotFoundError):
            waits.result(LIMIT)
    os.close(given)


def test_doors_share_a_range_of_ports(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, ExitStack() as stack:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Door("127.0.0.1", (port, port), tmp_path)
        door = stack.enter_context(closing(Door("127.0.0.1", (port, min(port + 50, 65535)), tmp_path)))
        assert port < door.address.port <= port + 50


def test_without_a_certificate_nobody_comes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates(tmp_path, monkeypatch)
    word, answer = words()
    with closing(Door("127.0.0.1", ANY, tmp_path)) as door:
        let_in = in_thread(lambda: door.let_in(word, answer, LIMIT))
        with monkeypatch.context() as plain:
            plain.delenv("RAY_USE_TLS")
            with pytest.raises((PeerGone, OSError)):
                visit(door.address, word, answer, by_network=True)
        certificates(tmp_path, monkeypatch)  # of another authority
        with pytest.raises((PeerGone, OSError)):
            visit(door.address, word, answer, by_network=True)
        assert not let_in.done()
        with closing(visit(door.address, word, answer)), closing(let_in.result(LIMIT)):  # on one machine
            pass
