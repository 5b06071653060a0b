"""Where a body rests: memory up to a threshold, then one unlinked temporary file.

One request has one spool. It holds the raw body as it came; what is in it is addressed by offsets, so a part
costs neither a copy nor a file descriptor, and several threads may read at once (`pread`). The file has no
name in its folder: nothing is left of it, however the process ends.

A spool stays open as long as somebody holds it: the request, the thread that runs the model. A read that is
going on when the last one lets go is completed before the file is closed: no read can hit a descriptor that
has been closed and given to another request.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, local
from weakref import WeakSet

from inference_gateway.errors import InsufficientStorage, SetupFailed
from inference_gateway.payload.spool_budget import SpoolBudget

# What file systems without O_TMPFILE say.
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})
# What file systems and C libraries without fallocate say.
_NO_FALLOCATE = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_ALLOCATE_FROM = 1 << 20  # bytes at once for which the blocks are asked for first: several times faster
_MAP_FROM = 64 << 10  # a shorter range is read rather than mapped: a mapping costs two system calls
_MERGE_UP_TO = 64 << 10  # bytes: a shorter block in memory is added to, so that small pieces are not many


class _Here(local):
    """What one thread holds by a `with` block."""

    def __init__(self) -> None:
        self.spools: list[Spool] = []


_here = _Here()
_files: WeakSet[Spool] = WeakSet()  # the spools that have a file


class Spool:
    """A body of one request. Its methods block on the disk: call them beside the event loop.

    `directory`: folder for the file. `memory_bytes`: how much stays in memory. `budget`: shared by all.
    `free`: is given each block that it was given by `keep` when nobody uses it any more, on any thread.
    """

    def __init__(
        self,
        directory: Path,
        memory_bytes: int,
        budget: SpoolBudget | None = None,
        free: Callable[[bytearray], object] | None = None,
    ) -> None:
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._budget = budget or SpoolBudget()
        self._free = free
        self._blocks: list[bytearray] = []  # what is in memory, as it came
        self._starts: list[int] = []  # their offsets
        self._taken = 0  # bytes of the budget
        self._written = 0  # bytes of the file
        self._fd: int | None = None
        self._mapping: mmap.mmap | None = None
        self._lent = False  # to another process, which may map the file
        self._holders = 1
        self._readers = 0
        self._lock = Lock()
        self.size = 0

    @classmethod
    def of_file(cls, descriptor: int, size: int) -> Spool:
        """Return a spool for a file that another process has filled; it closes `descriptor` at its end."""
        spool = cls(Path(), 0)
        spool._fd, spool.size = descriptor, size
        return spool

    @classmethod
    def of_memory(cls, data: bytearray) -> Spool:
        """Return a spool that holds `data`."""
        spool = cls(Path(), len(data))
        spool.keep(data)
        return spool

    def shared(self) -> tuple[int | None, list[bytearray]]:
        """Return what another process can read the body from: the file's descriptor, or the bytes in memory.

        The caller holds the spool as long as it uses them.
        """
        self._check_open()
        self._lent = True
        return self._fd, self._blocks

    @property
    def closed(self) -> bool:
        """Whether everybody has let go."""
        return self._holders == 0

    @property
    def in_memory(self) -> bool:
        """Whether no file is in use."""
        return self._fd is None

    def hold(self) -> None:
        """Keep the spool open until `release`. Raises `ValueError` where it is closed."""
        with self._lock:
            self._check_open()
            self._holders += 1

    def release(self) -> None:
        """Lets go; after the last one, and after the reads that are going on, file and memory are freed."""
        with self._lock:
            self._holders -= 1
            self._free_if_unused()

    def __enter__(self) -> Spool:
        """Hold the spool for the time of a `with` block."""
        self.hold()
        _here.spools.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _here.spools.remove(self)
        self.release()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            self._check_open()
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                self._free_if_unused()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file: the request has ended")

    def _free_if_unused(self) -> None:
        if self._holders or self._readers:
            return
        self._free_blocks()
        if self._fd is not None:
            if self._mapping is None and not self._lent:
                # A process that a model has forked may keep the file: it keeps none of the study then.
                # Not under a mapping: to read one whose file is gone ends the process (SIGBUS).
                with suppress(OSError):
                    os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None
        self._mapping = None
        if self._taken:
            self._budget.give_back(self._taken, self._written)
            self._taken = self._written = 0

    def reserve(self, size: int) -> None:
        """Take the room for a body of `size` bytes, before the first of them has come.

        Raises `InsufficientStorage` where the quota or the disk cannot hold it beside what is reserved for
        others. A body that stays in memory needs none.
        """
        if size > self._memory_bytes:
            with self:
                self._take_up_to(size)
                self._budget.check_disk(self._directory)

    def _take_up_to(self, size: int) -> None:
        """Has the budget for `size` bytes, of which some may be taken already."""
        if size > self._taken:
            self._budget.take(size - self._taken)
            self._taken = size

    def append(self, data: bytes | bytearray) -> None:
        """Add bytes at the end. A thread that does so holds the spool: it must not be freed meanwhile.

        Raises `InsufficientStorage` where the quota or the disk is spent, or the folder cannot be used.
        """
        if not self._fits(data):
            self._append_to_file(data)
        elif self._blocks and len(self._blocks[-1]) < _MERGE_UP_TO:
            self._blocks[-1] += data
            self.size += len(data)
        else:
            self.keep(bytearray(data))

    def keep(self, data: bytearray) -> bool:
        """As `append`, without a copy. Returns whether the spool keeps `data` itself, as its own."""
        if not self._fits(data):
            self._append_to_file(data)
            return False
        self._blocks.append(data)
        self._starts.append(self.size)
        self.size += len(data)
        return True

    def _fits(self, data: bytes | bytearray) -> bool:
        """Whether it can stay in memory; nothing does of a body that will not fit, as is known of some."""
        self._check_open()
        return self._fd is None and max(self.size + len(data), self._taken) <= self._memory_bytes

    def _append_to_file(self, data: bytes | bytearray) -> None:
        size = self.size + len(data)
        try:
            self._take_up_to(size)
            self._write(self._open_file() if self._fd is None else self._fd, data, self.size)
        except OSError as error:
            raise InsufficientStorage from error
        self.size = size

    def _open_file(self) -> int:
        """Move what is in memory to a file."""
        self._fd = fd = unlinked_file(self._directory)
        _files.add(self)
        for start, block in zip(self._starts, self._blocks, strict=True):
            self._write(fd, block, start)
        self._free_blocks()
        return fd

    def _free_blocks(self) -> None:
        blocks, self._blocks, self._starts = self._blocks, [], []
        if self._free is not None:
            for block in blocks:
                self._free(block)

    def _write(self, fd: int, data: bytes | bytearray, start: int) -> None:
        write_at(fd, data, start)
        self._written += len(data)
        self._budget.wrote(len(data))

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from offset `start` up to `stop`. Raises `ValueError` where it is closed."""
        if self._fd is None:
            with self._lock:
                self._check_open()
                return b"".join(self._runs(start, stop))
        with self._reading():
            blocks = []
            while start < stop:
                block = os.pread(self._fd, stop - start, start)
                if not block:
                    raise OSError("the spool file is shorter than what was written")
                blocks.append(block)
                start += len(block)
            return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _runs(self, start: int, stop: int) -> Iterator[memoryview]:
        """Return the blocks' bytes from offset `start` up to `stop`."""
        at = bisect_right(self._starts, start) - 1
        while start < stop:
            begin = self._starts[at]
            run = memoryview(self._blocks[at])[start - begin : stop - begin]
            yield run
            start += len(run)
            at += 1

    def readinto(self, start: int, buffer: memoryview) -> None:
        """Fill `buffer` (of bytes) from offset `start` on. Raises `ValueError` where the spool is closed."""
        with self._reading():
            if self._fd is None:
                for run in self._runs(start, start + len(buffer)):
                    buffer[: len(run)] = run
                    buffer = buffer[len(run) :]
                return
            while buffer:
                count = os.preadv(self._fd, [buffer], start)
                if not count:
                    raise OSError("the spool file is shorter than what was written")
                buffer = buffer[count:]
                start += count

    def view(self, start: int, stop: int) -> memoryview:
        """Return a writable view of the bytes from `start` up to `stop`: copied, or mapped privately.

        What is written to it does not change what `read` gives. It stays good after the spool is closed.
        All views share one mapping of the file: it costs one descriptor.
        """
        if self._fd is None or stop - start < _MAP_FROM:
            return memoryview(bytearray(self.read(start, stop)))
        with self._reading(), self._lock:
            if self._mapping is None:
                self._mapping = mmap.mmap(self._fd, self.size, access=mmap.ACCESS_COPY)
            return memoryview(self._mapping)[start:stop]


def files_of_others() -> list[int]:
    """Descriptors of the spools that this thread does not hold; none where it holds no spool at all.

    A process that a model forks may read the body of the model's own request, and keeps no disk for others.
    """
    others = [spool for spool in _files if spool not in _here.spools] if _here.spools else []
    return [spool._fd for spool in others if spool._fd is not None]


def check_directory(directory: Path) -> None:
    """Raise `SetupFailed` where no spool file can be made in `directory`."""
    try:
        fd = unlinked_file(directory)
        try:
            write_at(fd, b"\0", 0)
        finally:
            os.close(fd)
    except OSError as error:
        raise SetupFailed(
            f"cannot write to the spool folder {directory} ({error.strerror}): "
            "set GATEWAY_SPOOL_DIR to a folder that this user can write to"
        ) from error


def unlinked_file(directory: Path) -> int:
    """Return a file of mode 0600 that no folder lists."""
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
    fd, name = tempfile.mkstemp(dir=directory, prefix="inference-gateway-")
    os.unlink(name)
    return fd


def write_at(fd: int, data: bytes | bytearray | memoryview, start: int) -> None:
    """Write all of `data` at offset `start`."""
    if len(data) >= _ALLOCATE_FROM:
        try:
            os.posix_fallocate(fd, start, len(data))
        except OSError as error:
            if error.errno not in _NO_FALLOCATE:
                raise
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, start)
        view = view[written:]
        start += written
