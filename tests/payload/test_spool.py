"""Spools: memory, then one file without a name; its quota; and that a read never hits another's file."""

import errno
import gc
import os
import random
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inference_gateway.errors import InsufficientStorage, SetupFailed
from inference_gateway.payload.spool import Spool, check_directory
from inference_gateway.payload.spool_budget import SpoolBudget
from tests.harness.server import left_in

MIB = 1 << 20
DATA = random.Random(1).randbytes(300_000)
DESCRIPTORS = Path("/proc/self/fd")

needs_proc = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="needs /proc")


def descriptors() -> int:
    """How many are open, apart from those of files that are garbage already."""
    gc.collect()
    return len(list(DESCRIPTORS.iterdir()))


def without_tmpfile(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Makes every file system one that has no O_TMPFILE and says so with `code`."""
    real = os.open

    def refuse(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(code, os.strerror(code))
        return real(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", refuse)


KINDS = ("memory", "O_TMPFILE", "mkstemp", "no constant")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a spool keeps its bytes: memory, and the ways to get a file without a name."""
    kind = str(request.param)
    if kind == "mkstemp":
        without_tmpfile(monkeypatch, errno.EOPNOTSUPP)
    elif kind == "no constant":
        monkeypatch.delattr(os, "O_TMPFILE")
    return kind


@pytest.fixture
def spool(kind: str, spool_dir: Path) -> Iterator[Spool]:
    """An open spool; closed at the end where the test has not done so."""
    spool = Spool(spool_dir, MIB if kind == "memory" else 0)
    yield spool
    if not spool.closed:
        spool.release()


@contextmanager
def opened(directory: Path, memory_bytes: int = 0, budget: SpoolBudget | None = None) -> Iterator[Spool]:
    spool = Spool(directory, memory_bytes, budget)
    try:
        yield spool
    finally:
        spool.release()


class TestBytes:
    def test_come_back_from_any_place(self, spool: Spool, kind: str) -> None:
        for start in range(0, len(DATA), 70_001):
            spool.append(DATA[start : start + 70_001])
        assert spool.size == len(DATA)
        assert spool.in_memory == (kind == "memory")
        for start, stop in [(0, len(DATA)), (0, 0), (5, 5), (1, 2), (69_999, 70_003), (1000, 299_999)]:
            assert spool.read(start, stop) == DATA[start:stop]
            buffer = bytearray(stop - start)
            spool.readinto(start, memoryview(buffer))
            assert buffer == DATA[start:stop]
            view = spool.view(start, stop)
            assert view == DATA[start:stop]
            assert (view.format, view.ndim, view.contiguous) == ("B", 1, True)

    def test_nothing_appended_is_nothing(self, spool: Spool) -> None:
        spool.append(b"")
        assert spool.size == 0
        assert spool.read(0, 0) == b""
        assert len(spool.view(0, 0)) == 0

    def test_a_buffer_can_be_used_again_after_append(self, spool: Spool) -> None:
        buffer = bytearray(b"one")
        spool.append(buffer)
        buffer[:] = b"two and more"
        assert spool.read(0, spool.size) == b"one"

    @pytest.mark.parametrize(
        ("sizes", "in_memory"), [([10], True), ([4, 6], True), ([11], False), ([4, 7], False)]
    )
    def test_a_file_is_used_over_the_threshold_only(
        self, spool_dir: Path, sizes: list[int], in_memory: bool
    ) -> None:
        with opened(spool_dir, memory_bytes=10) as spool:
            for size in sizes:
                spool.append(DATA[spool.size : spool.size + size])
            assert spool.in_memory == in_memory
            assert spool.read(0, spool.size) == DATA[: sum(sizes)]

    def test_who_keeps_the_file_keeps_none_of_the_study(self, spool_dir: Path) -> None:
        """As a process that a model has forked does."""
        with opened(spool_dir) as spool:
            spool.append(DATA)
            (number,) = left_in(spool_dir)
            descriptor, _ = next(
                (int(name), target)
                for name in os.listdir("/proc/self/fd")
                if (target := os.readlink(f"/proc/self/fd/{name}")) == number
            )
            kept = os.dup(descriptor)
        try:
            assert os.fstat(kept).st_size == os.fstat(kept).st_blocks == 0
        finally:
            os.close(kept)

    def test_a_mapped_view_is_good_for_longer(self, spool_dir: Path) -> None:
        with opened(spool_dir) as spool:
            spool.append(DATA)
            view = spool.view(0, len(DATA))
        assert view == DATA

    def test_once_in_a_file_always_in_the_file(self, spool_dir: Path) -> None:
        with opened(spool_dir, memory_bytes=10) as spool:
            for piece in (b"0123456789", b"a" * 100, b"b"):
                spool.append(piece)
            assert spool.read(0, spool.size) == b"0123456789" + b"a" * 100 + b"b"


@pytest.mark.wire("aftermath: no file left")
class TestFile:
    @pytest.mark.parametrize("umask", [0, 0o077, 0o777])
    def test_has_no_name_and_is_its_owners_only(
        self, spool: Spool, spool_dir: Path, kind: str, umask: int
    ) -> None:
        if kind == "memory":
            spool._memory_bytes = 0
        before = os.umask(umask)
        try:
            spool.append(DATA)
        finally:
            os.umask(before)
        assert spool._fd is not None
        status = os.fstat(spool._fd)
        assert stat.S_ISREG(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600 & ~umask
        assert status.st_nlink == 0
        assert status.st_dev == spool_dir.stat().st_dev
        assert list(spool_dir.iterdir()) == []
        assert not os.get_inheritable(spool._fd)
        spool.release()
        assert left_in(spool_dir) == []

    @pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL])
    def test_where_the_file_system_has_no_tmpfile(
        self, monkeypatch: pytest.MonkeyPatch, spool_dir: Path, code: int
    ) -> None:
        without_tmpfile(monkeypatch, code)
        with opened(spool_dir) as spool:
            spool.append(DATA)
            assert spool.read(0, len(DATA)) == DATA
            assert list(spool_dir.iterdir()) == []
        assert left_in(spool_dir) == []

    @needs_proc
    def test_is_closed_with_the_spool(self, spool: Spool) -> None:
        before = descriptors()
        spool.append(DATA)
        spool.read(0, 100)
        assert descriptors() == before + (not spool.in_memory)
        spool.release()
        assert spool.closed
        assert descriptors() == before

    @needs_proc
    def test_one_is_enough_for_any_number_of_reads_and_views(self, spool: Spool) -> None:
        spool.append(DATA)
        before = descriptors()
        views = [spool.view(start, start + 100_000) for start in range(100)]
        assert descriptors() <= before + 1
        assert views[99] == DATA[99:100_099]


class TestView:
    RANGES = ((0, 300_000), (1, 299_999), (4096, 200_000), (4095, 70_000), (100, 200))

    @pytest.mark.parametrize(("start", "stop"), RANGES)
    def test_writing_to_it_changes_nothing_else(self, spool: Spool, start: int, stop: int) -> None:
        spool.append(DATA)
        view, other = spool.view(start, stop), spool.view(stop, len(DATA))
        view[:] = bytes(stop - start)
        assert view == bytes(stop - start)
        assert other == DATA[stop:]
        assert spool.read(0, len(DATA)) == DATA

    @pytest.mark.parametrize(("start", "stop"), RANGES)
    def test_stays_good_after_the_end(self, spool: Spool, start: int, stop: int) -> None:
        spool.append(DATA)
        view = spool.view(start, stop)
        spool.release()
        assert spool.closed
        assert view == DATA[start:stop]
        view[0] ^= 0xFF

    def test_a_large_one_is_mapped_and_not_read(
        self, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with opened(spool_dir) as spool:
            spool.append(DATA)
            monkeypatch.setattr(os, "pread", None)
            monkeypatch.setattr(os, "preadv", None)
            assert spool.view(10, 200_000) == DATA[10:200_000]


class TestEnd:
    def test_holders_keep_it_open(self, spool: Spool) -> None:
        spool.append(DATA)
        spool.hold()
        spool.hold()
        for _ in range(2):
            spool.release()
            assert not spool.closed
            assert spool.read(0, 10) == DATA[:10]
        spool.release()
        assert spool.closed

    @pytest.mark.parametrize(
        "operation",
        [
            lambda spool: spool.read(0, 1),
            lambda spool: spool.read(0, 0),
            lambda spool: spool.readinto(0, memoryview(bytearray(1))),
            lambda spool: spool.view(0, 1),
            lambda spool: spool.view(0, 200_000),
            lambda spool: spool.append(b"x"),
            lambda spool: spool.hold(),
        ],
    )
    def test_afterwards_every_operation_is_one_on_a_closed_file(
        self, spool: Spool, operation: Callable[[Spool], object]
    ) -> None:
        spool.append(DATA)
        spool.release()
        with pytest.raises(ValueError, match="closed file"):
            operation(spool)
        assert spool.closed

    def test_a_read_that_fails_does_not_keep_it_open(self, spool_dir: Path) -> None:
        spool = Spool(spool_dir, 0)
        spool.append(DATA)
        assert spool._fd is not None
        os.ftruncate(spool._fd, 100_000)
        with pytest.raises(OSError, match="shorter"):
            spool.read(0, 100_001)
        with pytest.raises(OSError, match="shorter"):
            spool.readinto(99_999, memoryview(bytearray(2)))
        spool.release()
        assert spool.closed

    @pytest.mark.wire("request: two threads read two inputs")
    def test_threads_read_at_once(self, spool: Spool) -> None:
        spool.append(DATA)
        together = threading.Barrier(4)

        def read(number: int) -> bool:
            choose = random.Random(number)
            buffer = bytearray(50_000)
            together.wait(60)
            for _ in range(200):
                start = choose.randrange(len(DATA) - len(buffer))
                spool.readinto(start, memoryview(buffer))
                if buffer != DATA[start : start + 50_000] or spool.read(start, start + 9) != buffer[:9]:
                    return False
            return True

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(read, range(4))) == [True] * 4

    def test_a_thread_that_still_reads_gets_its_bytes_or_a_closed_file(self, spool: Spool) -> None:
        """Never the bytes of a file that got the same descriptor."""
        spool.append(DATA)
        first_read = threading.Barrier(2)

        def read() -> str:
            block = spool.read(0, 1000)
            first_read.wait(60)
            try:
                while block == DATA[:1000]:
                    block = spool.read(0, 1000)
            except ValueError as error:
                return str(error)
            return "other bytes"

        with ThreadPoolExecutor(1) as threads:
            reader = threads.submit(read)
            first_read.wait(60)
            spool.release()
            others = [os.open("/dev/zero", os.O_RDONLY) for _ in range(20)]
            try:
                assert "closed file" in reader.result(10)
            finally:
                for other in others:
                    os.close(other)

    def test_reads_do_not_keep_each_other_going(
        self, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A read that is going on ends well; one that begins after the request's end is refused."""
        pread, reading, go_on = os.pread, threading.Event(), threading.Event()

        def slow_pread(fd: int, size: int, offset: int) -> bytes:
            reading.set()
            assert go_on.wait(60)
            return pread(fd, size, offset)

        spool = Spool(spool_dir, 0)
        spool.append(DATA)
        with ThreadPoolExecutor(1) as threads:
            monkeypatch.setattr(os, "pread", slow_pread)
            reader = threads.submit(spool.read, 0, 1000)
            assert reading.wait(60)
            monkeypatch.setattr(os, "pread", pread)
            spool.release()
            try:
                with pytest.raises(ValueError, match="closed file"):
                    spool.read(0, 1000)
            finally:
                go_on.set()
            assert reader.result(10) == DATA[:1000]
        assert spool.closed


class TestBudget:
    def test_counts_what_is_in_files_only(self, spool_dir: Path) -> None:
        budget = SpoolBudget(100)
        with opened(spool_dir, 10, budget) as spool:
            spool.append(b"x" * 10)
            assert budget.used == 0
            spool.append(b"x" * 5)
            assert budget.used == 15
            spool.append(b"x")
            assert budget.used == 16
        assert budget.used == 0

    @pytest.mark.wire("refused: disk budget spent")
    def test_is_shared_by_all_spools(self, spool_dir: Path) -> None:
        budget = SpoolBudget(1000)
        with opened(spool_dir, 0, budget) as one:
            one.append(bytes(600))
            with opened(spool_dir, 0, budget) as two:
                two.append(bytes(400))
                for spool in (one, two):
                    with pytest.raises(InsufficientStorage):
                        spool.append(b"x")
                assert budget.used == 1000
            assert budget.used == 600
            one.append(bytes(400))
        assert budget.used == 0

    @pytest.mark.parametrize("quota", [5, 10, 14])
    def test_what_was_in_memory_needs_room_too(self, spool_dir: Path, quota: int) -> None:
        budget = SpoolBudget(quota)
        with opened(spool_dir, 10, budget) as spool:
            spool.append(b"x" * 10)
            with pytest.raises(InsufficientStorage):
                spool.append(b"x" * 5)
        assert budget.used == 0

    @pytest.mark.wire("refused: disk budget spent")
    def test_a_declared_body_is_reserved(self, spool_dir: Path) -> None:
        budget = SpoolBudget(1000)
        with opened(spool_dir, 10, budget) as one, opened(spool_dir, 10, budget) as two:
            one.reserve(600)
            with pytest.raises(InsufficientStorage):
                two.reserve(401)
            assert (budget.used, budget.written) == (600, 0)
            two.reserve(400)
            for size in (5, 100, 495):
                one.append(bytes(size))
            assert (budget.used, budget.written) == (1000, 600)
            with pytest.raises(InsufficientStorage):
                one.append(b"x")
        assert (budget.used, budget.written) == (0, 0)

    def test_a_body_that_stays_in_memory_reserves_nothing(self, spool_dir: Path) -> None:
        budget = SpoolBudget(5)
        with opened(spool_dir, 10, budget) as spool:
            spool.reserve(10)
            assert budget.used == 0

    @pytest.mark.wire("refused: disk full")
    def test_the_disk_is_asked(self, spool_dir: Path) -> None:
        """What is reserved and not yet written counts, what others have written the disk knows."""
        budget = SpoolBudget()
        disk = os.statvfs(spool_dir)
        free = disk.f_bavail * disk.f_frsize
        with opened(spool_dir, 0, budget) as one, opened(spool_dir, 0, budget) as two:
            one.reserve(free // 10 * 7)
            with pytest.raises(InsufficientStorage):
                two.reserve(free // 10 * 7)
        assert budget.used == 0
        with opened(spool_dir, 0, budget) as spool:
            spool.reserve(free // 10 * 7)

    def test_a_disk_that_tells_no_size(self, monkeypatch: pytest.MonkeyPatch, spool_dir: Path) -> None:
        """As file systems of a network or in user space may."""
        untold = os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))
        monkeypatch.setattr(os, "statvfs", lambda _: untold)
        with opened(spool_dir, 0, SpoolBudget()) as spool:
            spool.reserve(1 << 50)

    @pytest.mark.wire("refused: disk full")
    def test_a_disk_that_cannot_be_asked(self, tmp_path: Path) -> None:
        budget = SpoolBudget()
        with opened(tmp_path / "gone", 0, budget) as spool, pytest.raises(InsufficientStorage):
            spool.reserve(1)
        assert budget.used == 0


PIECES = (b"x" * 10, DATA[:100], DATA, bytes(3 * MIB), b"y" * 7)
"""Memory, a small file, a growing one, and one write for which blocks are asked first."""


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, number: int, code: int) -> list[int]:
    """Has the `number`-th call of `os.name` fail with `code`; the list gets an entry for each call."""
    real = getattr(os, name)
    calls: list[int] = []

    def call(*args: Any, **options: Any) -> Any:
        calls.append(number)
        if len(calls) == number:
            raise OSError(code, os.strerror(code))
        return real(*args, **options)

    monkeypatch.setattr(os, name, call)
    return calls


@pytest.mark.wire("refused: disk full", "aftermath: no file left")
class TestFailures:
    @needs_proc
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
    @pytest.mark.parametrize("name", ["open", "pwrite", "posix_fallocate"])
    def test_at_any_call_leave_nothing_behind(self, spool_dir: Path, name: str, code: int) -> None:
        """Fails the first call, the second, and so on, until a run needs no more calls."""
        budget = SpoolBudget(100 * MIB)
        before = descriptors()
        for number in range(1, 100):
            with pytest.MonkeyPatch.context() as patch:
                calls = fail_at(patch, name, number, code)
                cause: BaseException | None = None
                with opened(spool_dir, 50, budget) as spool:
                    try:
                        for piece in PIECES:
                            spool.append(piece)
                    except InsufficientStorage as error:
                        cause = error.__cause__
                    else:
                        assert spool.read(0, spool.size) == b"".join(PIECES)
                        assert budget.used == spool.size
            failed = isinstance(cause, OSError) and cause.errno == code
            assert failed == (len(calls) >= number)
            assert budget.used == 0
            assert descriptors() == before
            assert left_in(spool_dir) == []
            if not failed:
                break
        assert not failed
        assert number > 1

    @pytest.mark.parametrize("most", [1, 3, 4096, 99_999])
    def test_a_write_that_writes_less_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, spool_dir: Path, most: int
    ) -> None:
        real = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:most], offset))
        data = DATA[: 5000 * most]
        with opened(spool_dir, 10) as spool:
            for piece in (b"x" * 10, data, b"end"):
                spool.append(piece)
            assert spool.read(0, spool.size) == b"x" * 10 + data + b"end"

    @pytest.mark.parametrize("most", [1, 4096, 99_999])
    def test_a_read_that_reads_less_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, spool_dir: Path, most: int
    ) -> None:
        pread, preadv = os.pread, os.preadv
        monkeypatch.setattr(os, "pread", lambda fd, size, offset: pread(fd, min(size, most), offset))
        monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: preadv(fd, [buffers[0][:most]], offset))
        size = min(len(DATA), 3000 * most)
        with opened(spool_dir) as spool:
            spool.append(DATA)
            assert spool.read(7, size) == DATA[7:size]
            buffer = bytearray(size - 7)
            spool.readinto(7, memoryview(buffer))
            assert buffer == DATA[7:size]

    @pytest.mark.parametrize("size", [600_000, 2 * MIB])
    def test_a_real_limit_on_the_size_of_files(self, spool_dir: Path, size: int) -> None:
        """The kernel writes what fits, and then says no."""
        budget = SpoolBudget(10 * MIB)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        with opened(spool_dir, 0, budget) as spool:
            spool.append(DATA)
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
            try:
                with pytest.raises(InsufficientStorage) as caught:
                    spool.append(bytes(size))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert isinstance(caught.value.__cause__, OSError)
            assert caught.value.__cause__.errno == errno.EFBIG
        assert budget.used == 0

    def test_a_folder_that_is_gone(self, tmp_path: Path) -> None:
        with opened(tmp_path / "gone", 5) as spool:
            spool.append(b"12345")
            with pytest.raises(InsufficientStorage):
                spool.append(b"6")


class TestDirectory:
    def test_one_that_can_be_used(self, spool_dir: Path, kind: str) -> None:
        check_directory(spool_dir)
        assert left_in(spool_dir) == []

    def test_one_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        folder = tmp_path / "gone"
        with pytest.raises(SetupFailed, match="GATEWAY_SPOOL_DIR") as caught:
            check_directory(folder)
        assert str(folder) in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)

    def test_a_file_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(SetupFailed, match="Not a directory"):
            check_directory(tmp_path / "file")

    @needs_proc
    @pytest.mark.parametrize(
        ("name", "code"), [("open", errno.EACCES), ("open", errno.EROFS), ("pwrite", errno.ENOSPC)]
    )
    def test_one_that_cannot_be_written(
        self, monkeypatch: pytest.MonkeyPatch, spool_dir: Path, name: str, code: int
    ) -> None:
        before = descriptors()
        fail_at(monkeypatch, name, 1, code)
        with pytest.raises(SetupFailed) as caught:
            check_directory(spool_dir)
        assert os.strerror(code) in str(caught.value)
        assert descriptors() == before
        assert left_in(spool_dir) == []
