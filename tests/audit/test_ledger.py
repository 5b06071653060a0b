"""The audit files: they go on across restarts, files and faults of the disk, and nothing is written over."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference_gateway.audit.ledger import Ledger, head_of
from inference_gateway.audit.store import NotWritten
from inference_gateway.audit.verify import chains_of, verify
from tests.audit.writing import entry, files, lines, read, records, written
from tests.harness.log import LogCapture


def faults(folder: Path) -> list[str]:
    return [fault for chain in chains_of([folder]) for fault in verify(chain).faults]


def notes(folder: Path) -> list[str]:
    return [note for chain in chains_of([folder]) for note in verify(chain).notes]


def test_lines_lie_in_the_file_when_append_returns(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "folder", 1 << 20)
    ledger.open()
    ledger.append([entry(0), entry(1)])
    found = read(tmp_path / "new" / "folder")
    assert [told["event"] for told in found] == ["begin", "inference", "inference"]
    assert found[0]["file"] == 1
    [path] = files(tmp_path / "new" / "folder")
    assert path.stat().st_mode & 0o777 == 0o600
    ledger.close()


def test_a_restart_goes_on_in_the_same_file(tmp_path: Path) -> None:
    written(tmp_path, [2])
    before = files(tmp_path)[0].read_bytes()
    written(tmp_path, [1, 1])
    [path] = files(tmp_path)
    assert path.read_bytes().startswith(before)
    assert [told["event"] for told in read(tmp_path)] == [
        "begin",
        *["inference"] * 2,
        "resumed",
        *["inference"] * 2,
    ]
    assert faults(tmp_path) == notes(tmp_path) == []


def test_a_file_that_is_large_enough_is_followed_by_another(tmp_path: Path) -> None:
    written(tmp_path, [1] * 6, file_bytes=500)
    assert len(files(tmp_path)) > 2
    last = None
    for path in files(tmp_path):
        told = [json.loads(line) for line in lines(path)]
        if last is not None:
            assert (told[0]["event"], told[0]["previous"]) == ("continued", last)
        last = told[-1]["hash"]
    assert len(records(tmp_path)) == 6
    written(tmp_path, [1], file_bytes=500)
    assert len(records(tmp_path)) == 7
    assert faults(tmp_path) == []


def test_two_processes_have_a_chain_each(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path, 1 << 20), Ledger(tmp_path, 1 << 20)
    first.open()
    second.open()
    for number in range(3):
        first.append([entry(number)])
        second.append([entry(number), entry(number)])
    first.close()
    second.close()
    assert [path.name for path in files(tmp_path)] == ["audit-0-000001.jsonl", "audit-1-000001.jsonl"]
    assert len(records(tmp_path)) == 9
    assert faults(tmp_path) == []


@pytest.mark.parametrize("left", [1, 40, -1], ids=["a byte", "some of it", "all but the line feed"])
def test_a_line_that_was_torn_stays_and_is_told_of(tmp_path: Path, left: int) -> None:
    """As after a power failure: what is left of the last line is not taken away, and not counted."""
    written(tmp_path, [2])
    [path] = files(tmp_path)
    *whole, last = lines(path)
    head_of(tmp_path, 0).write_text("")  # had not reached the disk either
    path.write_bytes(b"".join(whole) + last[:left])
    before = path.read_bytes()
    written(tmp_path, [1])
    assert path.read_bytes().startswith(before + b"\n")
    assert faults(tmp_path) == []
    if left == -1:
        assert len(records(tmp_path)) == 3
        assert notes(tmp_path) == []
    else:
        [note] = notes(tmp_path)
        assert note.startswith(f"{path.name} line 3: torn ")
        assert note.endswith(f", as {path.name} line 4 says")


def test_lines_that_are_gone_at_a_restart_are_told_of(tmp_path: Path, log: LogCapture) -> None:
    written(tmp_path, [3])
    [path] = files(tmp_path)
    path.write_bytes(b"".join(lines(path)[:2]))
    written(tmp_path, [1])
    assert "the last 2 lines of the audit log are missing" in log.text
    assert faults(tmp_path) == [
        f"{path.name} line 3 says that 2 lines were missing before it when the gateway began"
    ]


def test_files_that_were_moved_away_are_gone_on_from(tmp_path: Path) -> None:
    folder, archive = tmp_path / "log", tmp_path / "archive"
    written(folder, [3])
    files(folder)[0].rename(archive := tmp_path / "audit-0-000001.jsonl")
    written(folder, [2])
    [path] = files(folder)
    assert path.name == "audit-0-000002.jsonl"
    report = verify([archive, path])
    assert (report.faults, report.notes, report.records) == ([], [], 5)
    assert verify([path]).notes == [
        "audit-0-000002.jsonl line 1 goes on after number 4, which is in none of these files"
    ]


class Disk:
    """A disk that takes so many bytes more, whatever is written; `calls`: of `fsync`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 1 << 30
        self.sync: Callable[[int], None] = os.fsync
        real = os.write

        def write(descriptor: int, data: Any) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done = real(descriptor, bytes(data)[: self.room])
            self.room -= done
            return done

        monkeypatch.setattr(os, "write", write)
        monkeypatch.setattr(os, "fsync", lambda descriptor: self.sync(descriptor))


@pytest.mark.parametrize("room", range(0, 700, 23))
def test_a_full_disk_loses_nothing_that_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Wherever the room ends: what did not come to lie there is written when there is room again."""
    disk = Disk(monkeypatch)
    ledger = Ledger(tmp_path, 1 << 20)
    ledger.open()
    waiting = [entry(number) for number in range(4)]
    disk.room = room
    for _ in range(3):
        try:
            ledger.append(waiting)
            waiting = []
            break
        except NotWritten as error:
            waiting = waiting[error.written :]
            disk.room += 60
    disk.room = 1 << 30
    if waiting:
        ledger.append(waiting)
    ledger.close()
    found = [line for path in files(tmp_path) for line in lines(path) if b'"inference"' in line]
    whole = [line for line in found if line.endswith(b'"}\n')]
    assert [json.loads(line)["request_id"] for line in whole] == [f"{n:032x}" for n in range(4)]
    assert faults(tmp_path) == []


def test_a_sync_that_fails_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    ledger = Ledger(tmp_path, 1 << 20)
    ledger.open()

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk.sync = broken
    with pytest.raises(NotWritten) as caught:
        ledger.append([entry(0)])
    assert caught.value.written == 1  # it lies there, whether or not it stays
    disk.sync = lambda descriptor: None
    ledger.append([entry(1)])
    ledger.close()
    assert len(records(tmp_path)) == 2
    assert faults(tmp_path) == []


def test_a_head_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path, 1 << 20)
    ledger.open()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: os.write(-1, b""))
        with pytest.raises(NotWritten) as caught:
            ledger.append([entry(0), entry(1)])
    assert caught.value.written == 2
    ledger.append([entry(2)])
    ledger.close()
    assert len(records(tmp_path)) == 3
    assert faults(tmp_path) == notes(tmp_path) == []


@pytest.mark.parametrize("left", [0, 20], ids=["empty", "torn"])
def test_a_file_that_was_only_just_begun(tmp_path: Path, left: int) -> None:
    """At the begin of a chain, and of a file in it."""
    first, second = tmp_path / "first", tmp_path / "second"
    written(first, [1])
    [path] = files(first)
    path.write_bytes(path.read_bytes()[:left])
    head_of(first, 0).write_text("")
    written(second, [3] * 2, file_bytes=500)
    path = files(second)[-1]
    path.write_bytes(path.read_bytes()[:left])
    head_of(second, 0).write_text("")
    for folder in (first, second):
        written(folder, [1])
        assert faults(folder) == []
        assert [note.partition(":")[0] for note in notes(folder)] == (
            [f"{files(folder)[-1].name} line 1"] if left else []
        )


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        Ledger(tmp_path / "file", 1 << 20).open()
