"""Counts in memory that several processes share: each writes a sheet of its own, and all read every sheet.

A sheet has runs of numbers, each behind its key. Runs are only added, and never move. A worker that takes the
place of one that has died goes on with its sheet, so that no count falls. The memory has no name: it is gone
with the last process that has it, however they end.

A sheet is written by one thread of one process, without a lock. A number is eight aligned bytes, which a
processor writes in one piece, so that a reader sees it as it was or as it is. A step costs 0.1 us, a quarter
more than one in a list (docs/decisions/0015).
"""

from __future__ import annotations

import json
import mmap
import os
import tempfile
from collections.abc import Callable
from typing import NamedTuple

SIZE = 4 << 20  # bytes of a sheet, enough for a thousand routes; the kernel gives memory for what is used
_CELL = 8  # bytes of a number
_ALIVE, _END = 0, 1  # the first cells: 1.0 while a process tells its gauges here; the cell after the last run
_HEADER = 2
_SINK = 128  # cells at the end, where what finds no room is counted and never read

Key = tuple[str, ...]


class Run(NamedTuple):
    """Numbers of one key: `size` of them, from cell `start` on."""

    key: Key
    start: int
    size: int


class Sheet:
    """One process's counts. `memory`: SIZE bytes, zero or with what another process has written there."""

    def __init__(self, memory: memoryview) -> None:
        self.cells: memoryview[float] = memory.cast("d")
        self._bytes = memory
        self._runs: dict[Key, Run] = {}
        self._read_to = _HEADER

    @property
    def is_alive(self) -> bool:
        """Whether a process tells its gauges here."""
        return bool(self.cells[_ALIVE])

    def come_alive(self) -> None:
        """Note that the gauges are those of a process that lives."""
        self.cells[_ALIVE] = 1.0

    def runs(self) -> list[Run]:
        """Return all runs, those that another process has added meanwhile too."""
        end = int(self.cells[_END])
        while self._read_to < end:
            at = self._read_to
            length, size = int(self.cells[at]), int(self.cells[at + 1])
            begin = (at + 2) * _CELL
            try:
                key = tuple(json.loads(bytes(self._bytes[begin : begin + length])))
            except ValueError:  # another processor's writes may be seen out of order: it is there next time
                break
            start = at + 2 + _cells(length)
            self._runs[key] = Run(key, start, size)
            self._read_to = start + size
        return list(self._runs.values())

    def place(self, key: Key, size: int = 1) -> int:
        """Return the first cell of a key's run, which begins with zeros where it is new."""
        if key not in self._runs:
            self.runs()
        found = self._runs.get(key)
        if found is not None:
            return found.start
        text = json.dumps(key).encode()
        at = self._read_to
        start = at + 2 + _cells(len(text))
        if start + size > len(self.cells) - _SINK:
            return len(self.cells) - _SINK
        self.cells[at], self.cells[at + 1] = len(text), size
        self._bytes[(at + 2) * _CELL : (at + 2) * _CELL + len(text)] = text
        for cell in range(start, start + size):  # a process that was killed here may have left something
            self.cells[cell] = 0.0
        self.cells[_END] = start + size  # last: from now on it is there
        self.runs()
        return start


class Sheets:
    """The sheets of all workers, as one of them has them. `own`: its; `number`: of the worker, from 1 on."""

    def __init__(self, own: Sheet, all_of_them: list[Sheet], number: int = 1) -> None:
        self.own = own
        self.all = all_of_them
        self.number = number
        self.tellers: list[Callable[[], None]] = []  # each writes down the gauges of one application


def _cells(length: int) -> int:
    return -(-length // _CELL)


def _sheet(memory: mmap.mmap, index: int) -> Sheet:
    return Sheet(memoryview(memory)[index * SIZE : (index + 1) * SIZE])


def make(workers: int) -> int:
    """Return a descriptor of memory for so many workers' sheets; the parent's."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("counts", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, workers * SIZE)
    return descriptor


def bury(descriptor: int, number: int) -> None:
    """Note, as the parent, that worker `number` has died: its gauges say nothing any more."""
    os.pwrite(descriptor, bytes(_CELL), (number - 1) * SIZE + _ALIVE * _CELL)


_joined: list[Sheets] = []  # one at the most: this process is a worker


def join(descriptor: int, number: int) -> None:
    """Make this process worker `number`, whose applications count on a shared sheet. Closes `descriptor`."""
    _joined[:] = [of_worker(descriptor, number)]
    os.close(descriptor)


def of_worker(descriptor: int, number: int) -> Sheets:
    """Return all sheets as worker `number` has them."""
    memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    found = [_sheet(memory, index) for index in range(len(memory) // SIZE)]
    return Sheets(found[number - 1], found, number)


def of_this_process() -> Sheets:
    """Return what an application counts on: the worker's sheets, or a new one that nobody else has."""
    if _joined:
        return _joined[0]
    own = _sheet(mmap.mmap(-1, SIZE), 0)
    return Sheets(own, [own])


def tell() -> None:
    """Write down the gauges of all applications of this worker, for the others to read."""
    for sheets in _joined:
        for teller in sheets.tellers:
            teller()
