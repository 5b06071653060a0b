"""The client's spool: it leaves nothing behind, and says what to do where the disk is full."""

import errno
import gc
import os
import tempfile
from pathlib import Path

import pytest

from inference_gateway.client.temporary import TemporarySpool
from tests.harness.server import left_in

LARGE = bytes(9 << 20)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_small_one_stays_in_memory(folder: Path) -> None:
    spool = TemporarySpool()
    spool.append(b"some")
    assert (spool.read(0, 4), spool.in_memory, left_in(folder)) == (b"some", True, [])
    spool.close()
    spool.close()
    assert spool.closed


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_large_one_is_freed_with_its_last_reference(folder: Path) -> None:
    spool = TemporarySpool()
    spool.append(LARGE)
    assert not spool.in_memory
    assert len(left_in(folder)) == 1
    del spool
    gc.collect()
    assert left_in(folder) == []


def test_a_folder_that_cannot_be_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "none"))
    with pytest.raises(OSError, match="TMPDIR") as error:
        TemporarySpool().append(LARGE)
    assert error.value.errno == errno.ENOENT
    assert error.value.filename == str(folder / "none")


def test_a_disk_that_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="TMPDIR") as error:
        TemporarySpool().append(LARGE)
    assert error.value.errno == errno.ENOSPC
