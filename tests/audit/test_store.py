"""What waits for a disk: tried again, bounded, counted, and told of once."""

import errno
import os
import time
from collections.abc import Sequence
from typing import Any

import pytest

from inference_gateway.audit import store as module
from inference_gateway.audit.store import NotWritten, Store
from tests.harness.log import LogCapture


class Disk:
    """Takes all, or only so many at a time."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.room: int | None = None

    def write(self, records: Sequence[Any]) -> None:
        if self.room is None:
            self.taken.extend(records)
            return
        self.taken.extend(records[: self.room])
        raise NotWritten(self.room, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def test_what_a_disk_takes_is_gone_from_memory() -> None:
    disk = Disk()
    store = Store("the log", disk.write)
    store.add([1, 2])
    store.add([3])
    assert store.waiting == 3
    store.push()
    store.push()
    assert disk.taken == [1, 2, 3]
    assert (store.waiting, store.written, store.failing) == (0, 3, False)


def test_what_it_does_not_take_waits(log: LogCapture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    disk = Disk()
    store = Store("the log", disk.write)
    disk.room = 1
    store.add([1, 2, 3])
    store.push()
    store.push()  # too early
    assert disk.taken == [1]
    assert store.failing
    clock[0] = 1.0
    store.push()
    store.push(at_once=True)
    assert disk.taken == [1, 2, 3]
    assert log.text.count("the log cannot be written (No space left on device)") == 1
    disk.room = None
    store.add([4])
    store.push(at_once=True)
    assert not store.failing
    assert log.text.count("the log is written again; 0 records are lost so far") == 1


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    disk = Disk()
    store = Store("the log", disk.write)
    store.add([1, 2])
    store.add([3, 4, 5])
    assert (store.waiting, store.lost) == (3, 2)
    store.push()
    assert disk.taken == [1, 2, 3]
