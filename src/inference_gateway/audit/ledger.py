"""The audit files of one process: lines are appended, never changed, and on the disk when `append` returns.

In a folder each process has a chain of its own, by the first number that no other process has claimed. Chain
0 has the files `audit-0-000001.jsonl`, `audit-0-000002.jsonl` and so on, and `audit-0.head`, which says how
far it goes. A process that starts goes on where the last one of that number has ended.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from inference_gateway.audit.chain import MOST_BYTES, NOTHING, Link, link_of, sealed
from inference_gateway.audit.claim import Claim
from inference_gateway.audit.entry import event_of
from inference_gateway.audit.store import NotWritten
from inference_gateway.audit.times import now
from inference_gateway.telemetry.logs import logger

FILE_NAME = re.compile(r"audit-(\d+)-(\d{6,})\.jsonl")
BEGINNINGS = ("begin", "continued")
"""The events with which a file begins: the first of a chain, and any other."""

_VERSION = metadata.version("dicom-inference-gateway")


_HEAD = re.compile(rb"(\d{20}) (\d{20}) ([0-9a-f]{64})\n")


def head_of(folder: Path, chain: int) -> Path:
    """Return the path of the file that says how far a chain goes."""
    return folder / f"audit-{chain}.head"


class Head(NamedTuple):
    """How far a chain goes: number and hash of its last line, and the file of it."""

    number: int
    sequence: int
    hash: str

    def text(self) -> bytes:
        """Return it as it is written."""
        return b"%020d %020d %s\n" % (self.number, self.sequence, self.hash.encode())

    @classmethod
    def of(cls, text: bytes) -> Head | None:
        """Return what `text` says, None for what is none."""
        found = _HEAD.fullmatch(text)
        return found and cls(int(found[1]), int(found[2]), found[3].decode())


class Ledger:
    """The files of one chain in `folder`, each of about `file_bytes`. For one thread."""

    def __init__(self, folder: Path, file_bytes: int) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._chain = 0
        self._claim: Claim | None = None
        self._file = -1
        self._sequence = 0  # of the file
        self._number, self._hash = 0, NOTHING  # of the last line

    def open(self) -> None:
        """Claim a chain and go on with it. Raises `OSError`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for self._chain in count():
            self._claim = Claim.take(head_of(self._folder, self._chain))
            if self._claim is not None:
                break
        self._resume()

    def append(self, entries: Sequence[str]) -> None:
        """Write a line for each entry, and wait until the disk has them. Raises `NotWritten`."""
        if self._file < 0:
            try:
                self._resume()
            except OSError as error:
                raise NotWritten(0, error) from None
        self._write(entries)
        if os.fstat(self._file).st_size >= self._file_bytes:
            try:
                self._begin_file("continued", self._sequence + 1)
            except OSError as error:
                raise NotWritten(len(entries), error) from None

    def close(self) -> None:
        """Let go of files and chain."""
        self._close_file()
        if self._claim is not None:
            self._claim.release()

    # Files

    def _resume(self) -> None:
        """Go on after the last line there is, whoever has written it, or has not come to its end.

        Where no files are there any more, as when they were moved away, the head says where to go on.
        """
        files, head = self._files(), self._head()
        end = _end_of(files)
        self._sequence = max([*files, head.sequence])
        if not files or (end.link is None and head.number):
            self._number, self._hash = head.number, head.hash
            self._begin_file("continued" if head.number else "begin", self._sequence + 1)
            return
        event = "begin"
        about: dict[str, Any] = {}
        if end.link is not None:
            event = "resumed" if files[self._sequence].stat().st_size else "continued"
            self._number, self._hash = end.link.number, end.link.hash
        if head.number > self._number:
            about["missing"] = head.number - self._number
            logger.error("the last %d lines of the audit log are missing or changed", about["missing"])
        if end.torn:
            about |= {"torn_bytes": len(end.torn), "torn_hash": hashlib.sha256(end.torn).hexdigest()}
        self._file = os.open(files[self._sequence], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        if end.is_open:
            os.write(self._file, b"\n")
        self._write([self._about(event, **about)])

    def _head(self) -> Head:
        assert self._claim is not None
        return Head.of(os.pread(self._claim.descriptor, 200, 0)) or Head(0, 0, NOTHING)

    def _files(self) -> dict[int, Path]:
        """Return the chain's files by their number."""
        found = {}
        for path in self._folder.iterdir():
            name = FILE_NAME.fullmatch(path.name)
            if name and int(name[1]) == self._chain:
                found[int(name[2])] = path
        return found

    def _begin_file(self, event: str, sequence: int) -> None:
        """Go on in another file, whose first line carries the hash of the last line of the one before."""
        self._close_file()
        path = self._folder / f"audit-{self._chain}-{sequence:06d}.jsonl"
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            os.fsync(folder)  # so that the name lasts, too
        finally:
            os.close(folder)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._sequence = sequence
        self._write([self._about(event)])

    def _about(self, event: str, **more: Any) -> str:
        """Return the entry that tells of a beginning."""
        return event_of(event, now(), file=self._sequence, gateway=_VERSION, **more)

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # Lines

    def _write(self, entries: Sequence[str]) -> None:
        """Append and sync; after a failure the next `append` looks anew at what lies there."""
        lines, number, digest = [], self._number, self._hash
        for entry in entries:
            number += 1
            line, digest = sealed(entry, number, digest)
            lines.append(line)
        done = 0
        data = memoryview(b"".join(lines))
        try:
            while done < len(data):
                done += os.write(self._file, data[done:])
            os.fsync(self._file)
        except OSError as error:
            self._close_file()
            raise NotWritten(bytes(data[:done]).count(b"\n"), error) from None
        self._number, self._hash = number, digest
        assert self._claim is not None
        # Without a sync of its own: behind the files at the most, never before them.
        head = Head(number, self._sequence, digest)
        try:
            os.pwrite(self._claim.descriptor, head.text(), 0)
        except OSError as error:
            raise NotWritten(len(entries), error) from None


class _End(NamedTuple):
    link: Link | None  # of the last line that is whole
    torn: bytes  # what stands behind it: a line that was begun, in one piece or several
    is_open: bool  # it ends without a line feed


def _end_of(files: Mapping[int, Path]) -> _End:
    """Look where a chain ends."""
    torn, is_open = b"", False
    for sequence in sorted(files, reverse=True):
        with files[sequence].open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * MOST_BYTES))
            tail = file.read()
        is_newest = sequence == max(files)
        is_open = is_open or (is_newest and bool(tail) and not tail.endswith(b"\n"))
        lines = tail.removesuffix(b"\n").split(b"\n")
        for at in range(len(lines) - 1, -1, -1):
            if (link := link_of(lines[at])) is not None:
                return _End(link, b"\n".join(lines[at + 1 :]) if is_newest else torn, is_open)
        if is_newest:
            torn = tail.removesuffix(b"\n")
    return _End(None, torn, is_open)
