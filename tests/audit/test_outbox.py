"""The outbox: it outlasts the process, has a bound, and leaves nothing behind."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from inference_gateway.audit import outbox as module
from inference_gateway.audit.outbox import Outbox, objects_in
from inference_gateway.audit.store import NotWritten
from tests.harness.log import LogCapture

OBJECTS = [(f"{number:064x}:{number:064x}", f'{{"number":{number}}}') for number in range(4)]


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    made = Outbox(tmp_path / "outbox", 1 << 20)
    made.open()
    return made


def objects(path: Path) -> list[tuple[str, str]]:
    return [(name, content.decode()) for name, content in objects_in(path)]


def take(outbox: Outbox) -> list[tuple[str, str]]:
    """All that lies in it, as a sender takes it."""
    found = []
    while (path := outbox.oldest()) is not None:
        found += objects(path)
        outbox.sent(path)
    return found


def test_what_is_added_is_taken_in_order_and_gone(outbox: Outbox) -> None:
    outbox.add(OBJECTS[:2])
    outbox.add(OBJECTS[2:3])
    path = outbox.oldest()
    outbox.add(OBJECTS[3:])  # not to the file that is being sent
    assert path is not None
    assert objects(path) == OBJECTS[:3]
    assert take(outbox) == OBJECTS
    assert outbox.bytes == 0
    assert outbox.oldest() is None
    outbox.close()


def test_it_outlasts_the_process(outbox: Outbox, tmp_path: Path) -> None:
    outbox.add(OBJECTS)
    size = outbox.bytes
    outbox.close()
    again = Outbox(tmp_path / "outbox", 1 << 20)
    again.open()
    assert again.bytes == size
    again.add(OBJECTS[:1])
    assert take(again) == [*OBJECTS, OBJECTS[0]]
    again.close()


def test_a_line_that_was_torn_is_none(outbox: Outbox) -> None:
    outbox.add(OBJECTS[:2])
    path = outbox.oldest()
    assert path is not None
    path.write_bytes(path.read_bytes()[:-5])
    assert objects(path) == OBJECTS[:1]
    outbox.close()


def test_others_have_folders_of_their_own_and_leave_them_behind(outbox: Outbox, tmp_path: Path) -> None:
    other = Outbox(tmp_path / "outbox", 1 << 20)
    other.open()
    outbox.add(OBJECTS[:1])
    other.add(OBJECTS[1:])
    assert outbox.left_behind() is None  # its process lives
    other.close()
    left = outbox.left_behind()
    assert left is not None
    assert take(left) == OBJECTS[1:]
    left.close()
    assert outbox.left_behind() is None
    assert take(outbox) == OBJECTS[:1]
    outbox.close()


def test_large_files_are_followed_by_others(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FILE_BYTES", 100)
    for each in OBJECTS:
        outbox.add([each])
    path = outbox.oldest()
    assert path is not None
    assert objects(path) == OBJECTS[:1]
    assert take(outbox) == OBJECTS
    outbox.close()


def test_the_bound(tmp_path: Path, log: LogCapture) -> None:
    outbox = Outbox(tmp_path, 500)
    outbox.open()
    outbox.add(OBJECTS)
    outbox.add(OBJECTS)
    assert outbox.full
    assert outbox.lost == 5
    assert log.text.count("the audit outbox is full") == 1
    assert take(outbox) == OBJECTS[:3]
    outbox.add(OBJECTS[:1])
    assert not outbox.full
    assert take(outbox) == OBJECTS[:1]
    outbox.close()


@pytest.mark.parametrize("room", range(0, 600, 37))
def test_a_full_disk(outbox: Outbox, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """What the disk took of the last line is no object; what is given again is."""
    left, real = [room], os.write

    def write(descriptor: int, data: Any) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "full")
        done = real(descriptor, bytes(data)[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(NotWritten) if room < 570 else pytest.MonkeyPatch.context() as caught:
        outbox.add(OBJECTS)
    if isinstance(caught, pytest.ExceptionInfo):
        left[0] = 1 << 20
        outbox.add(OBJECTS[caught.value.written :])
    assert take(outbox) == OBJECTS
    assert outbox.bytes == 0
    outbox.close()
