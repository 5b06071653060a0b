"""What is still to be sent to the bucket, in files of a folder: it outlasts the process.

Each process has a folder of its own in it, by the first number that no other has claimed. A file has a line
for each object: its name, a blank, its content. The writer appends to the newest one; the sender takes the
oldest, and removes it when all of it has been sent. What a process leaves behind is sent by another.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from itertools import accumulate, count
from pathlib import Path

from inference_gateway.audit.claim import Claim
from inference_gateway.audit.store import NotWritten
from inference_gateway.telemetry.logs import logger

_FILE_BYTES = 1 << 20  # of one file of the outbox, about


class Outbox:
    """The outbox of one process below `folder`: of `limit` bytes at the most.

    `add` is for one thread, `oldest` and `sent` are for another.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._root = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._claim: Claim | None = None
        self._own = folder
        self._file = -1  # the newest, where it is open
        self._sequence = 0
        self.bytes = 0
        self.lost = 0  # records for which there was no room
        self.full = False

    def open(self) -> None:
        """Claim a folder, and find what lies in it. Raises `OSError`."""
        for number in count():
            self._own = self._root / str(number)
            self._own.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim = Claim.take(self._own / "claim")
            if self._claim is not None:
                break
        files = _files(self._own)
        self.bytes = sum(path.stat().st_size for path in files)
        self._sequence = max((int(path.stem) for path in files), default=0)

    def add(self, objects: Sequence[tuple[str, str]]) -> None:
        """Keep objects, by name and content, on the disk. Raises `NotWritten`.

        Those for which the limit leaves no room are lost, and counted.
        """
        lines = [f"{name} {content}\n".encode("ascii") for name, content in objects]
        taken, size = 0, 0
        while taken < len(lines) and self.bytes + size + len(lines[taken]) <= self._limit:
            size += len(lines[taken])
            taken += 1
        self._note_room(len(lines) - taken)
        if not taken:
            return
        with self._lock:
            done, error = self._append(b"".join(lines[:taken]))
            self.bytes += done
        if error is not None:
            raise NotWritten(_whole(lines, done), error)

    def _note_room(self, lost: int) -> None:
        if lost and not self.full:
            logger.error("the audit outbox is full (%d bytes): records for the bucket are lost", self.bytes)
        self.full = lost > 0
        self.lost += lost

    def oldest(self) -> Path | None:
        """Return the file that is to be sent next; nothing more is appended to it."""
        with self._lock:
            files = _files(self._own)
            if not files:
                return None
            if int(files[0].stem) == self._sequence:
                self._end_file()
            return files[0]

    def sent(self, path: Path) -> None:
        """Remove a file: all of it has been sent."""
        size = path.stat().st_size
        path.unlink()
        with self._lock:
            self.bytes -= size

    def left_behind(self) -> Outbox | None:
        """Return the outbox of a process that has ended, with something in it; `close` it."""
        for folder in sorted(self._root.iterdir()):
            if folder == self._own or not folder.name.isdigit() or not _files(folder):
                continue
            claim = Claim.take(folder / "claim")
            if claim is not None:
                other = Outbox(self._root, self._limit)
                other._own, other._claim = folder, claim
                return other
        return None

    def close(self) -> None:
        """Let go of files and folder: what lies there stays."""
        with self._lock:
            self._end_file()
            if self._claim is not None:
                self._claim.release()

    def _append(self, data: bytes) -> tuple[int, OSError | None]:
        """Append and sync; return how many bytes, and what went wrong."""
        done = 0
        try:
            if self._file < 0:
                self._sequence += 1
                path = self._own / f"{self._sequence:012d}.jsonl"
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._file = os.open(path, flags, 0o600)
            while done < len(data):
                done += os.write(self._file, data[done:])
            os.fsync(self._file)
            if os.fstat(self._file).st_size >= _FILE_BYTES:
                self._end_file()
        except OSError as error:
            self._end_file()  # a line that was cut off is the last of its file
            return done, error
        return done, None

    def _end_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def objects_in(path: Path) -> list[tuple[str, bytes]]:
    """Return what a file of the outbox has; blocks. A last line that was cut off is none."""
    *lines, _ = path.read_bytes().split(b"\n")
    found = (line.partition(b" ") for line in lines)
    return [(name.decode(), content) for name, _, content in found]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def _whole(lines: Sequence[bytes], size: int) -> int:
    """Return how many of the lines lie within the first `size` bytes of all."""
    return sum(end <= size for end in accumulate(map(len, lines)))
