"""The disk: full, failing, gone, or too small a limit; a process that is killed leaves nothing."""

import errno
import fcntl
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from inference_gateway.errors import InsufficientStorage
from tests.faults.conftest import StartFaulty
from tests.faults.rest import HEADERS, LIMIT, MIB, PONG, check_sizes, post, probe, study, whole
from tests.harness.raw import Answer, Connection, exchange, head
from tests.harness.wire import check_problem

pytestmark = pytest.mark.slow

needs_prlimit = pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit (util-linux)")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "spool", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.wire("refused: disk full", "aftermath: no file left")
def test_a_disk_that_fills_up(small_disk: Path, faulty: StartFaulty) -> None:
    server = faulty(spool_dir=small_disk)
    for size in (9 * MIB, 20 * MIB):
        check_problem(exchange(server.address, post(size), limit=LIMIT), 507)
        server.check_after()
    with Connection(server.address, limit=LIMIT) as first, Connection(server.address, limit=LIMIT) as second:
        body = study(6 * MIB)
        for connection in (first, second):
            connection.send(head((*HEADERS, (b"Content-Length", b"%d" % len(body)))))
            connection.send_until_closed([body])
        answers = [connection.read_answer() for connection in (first, second)]
    statuses = sorted(answer.status for answer in answers if answer is not None)
    assert len(statuses) == 2
    assert set(statuses) <= {200, 507}
    server.check_after()


@needs_prlimit
@pytest.mark.wire("refused: disk full")
def test_files_that_may_not_grow(faulty: StartFaulty) -> None:
    server = faulty(prefix=["prlimit", f"--fsize={4 * MIB}"], spool_memory_bytes=MIB)
    check_problem(exchange(server.address, post(6 * MIB), limit=LIMIT), 507)
    server.check_after()


@needs_prlimit
def test_descriptors_that_run_out(faulty: StartFaulty) -> None:
    """Who is let in is answered; when the others leave, everything is as before."""
    server = faulty(prefix=["prlimit", "--nofile=40"], max_queue=100, max_uploads=100, idle_timeout=20)
    opened: list[Connection] = []
    try:
        for _ in range(60):
            opened.append(Connection(server.address, limit=LIMIT))
            opened[-1].send(head((*HEADERS, (b"Content-Length", b"100"))), b"--bnd")
    finally:
        for connection in opened:
            connection.close()
    server.check_after()


@pytest.mark.wire("refused: disk full")
def test_a_folder_that_vanishes(faulty: StartFaulty) -> None:
    server = faulty(spool_memory_bytes=MIB)
    server.folder.rmdir()
    check_problem(exchange(server.address, post(3 * MIB), limit=LIMIT), 507)
    check_sizes(exchange(server.address, post(100)), 100)  # needs no file
    server.folder.mkdir()
    server.check_after()


@pytest.mark.wire("aftermath: no file left")
def test_a_process_that_is_killed_leaves_nothing(faulty: StartFaulty) -> None:
    server = faulty()
    body = study(20 * MIB)
    with Connection(server.address, limit=LIMIT) as connection:
        connection.send(head((*HEADERS, (b"Content-Length", b"%d" % len(body)))), body[: 15 * MIB])
        server.wait(
            lambda: any(name.startswith(f"{server.folder}/") for name in server.process.descriptors),
            "nothing is spooled",
        )
        server.process.popen.send_signal(signal.SIGKILL)
        server.process.wait()
        assert connection.read_answer() is None
    server.check_ended(-signal.SIGKILL)


@pytest.mark.wire("refused: disk full")
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", ["pwrite", "posix_fallocate"])
def test_the_nth_write_fails(call: str, error: int, faulty: StartFaulty, tmp_path: Path) -> None:
    """For n = 1, 2, ... until a run in which nothing fails."""
    server = faulty(prefix=["env", f"FAULTS_FAILING_CALL={call}:{error}"], spool_memory_bytes=1000)
    countdown = tmp_path / "countdown"
    for n in itertools.count(1):
        countdown.write_text(str(n))
        answer = exchange(server.address, post(9 * MIB), limit=LIMIT)
        left = int(countdown.read_text())
        countdown.unlink()
        if left:
            break
        assert check_problem(answer, 507)["detail"] == InsufficientStorage.sentence
        server.check_after()
    check_sizes(answer, 9 * MIB)
    assert n > 3
    server.check_after()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with file.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.mark.setting("UPLOAD_TIMEOUT")
@pytest.mark.parametrize("clients", [1, 12])
@pytest.mark.parametrize(
    ("size", "status"),
    [(30_000, 503), (MIB // 2, 503), (5 * MIB, 503), (9 * MIB, 408)],
    ids=["a small body", "at the end", "under the last bytes", "in the middle"],
)
def test_a_disk_that_hangs(size: int, status: int, clients: int, faulty: StartFaulty, tmp_path: Path) -> None:
    """Nobody waits for it for ever, even where it has all threads there are; then all is as before."""
    server = faulty(prefix=["env", "FAULTS_HANGING_CALL=pwrite"], upload_timeout=1, spool_memory_bytes=1000)
    sent = post(size)

    def upload(_: int) -> Answer | None:
        return exchange(server.address, sent, limit=LIMIT)

    with locked(tmp_path / "disk"), ThreadPoolExecutor(clients) as pool:
        for answer in pool.map(upload, range(clients)):
            said = check_problem(answer, status if clients == 1 else (status, 503))
            assert answer is not None
            if answer.status == 503:
                assert answer.header("retry-after")
                assert "disk" in said["detail"]
        assert whole(exchange(server.address, probe())).body == PONG
        check_sizes(exchange(server.address, post(100)), 100)  # needs no disk
    server.check_after()
