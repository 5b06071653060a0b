"""How much of the disk the spools of this process may take, together."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

from inference_gateway.errors import InsufficientStorage

_KEEP_FREE = 1 << 20  # bytes of the disk that no declared body is promised


class SpoolBudget:
    """Bytes that the spool files of this process may take together. `quota` in bytes, 0: no limit.

    `used`: what files have and what is reserved for bodies that are still to come; `written`: the former.
    """

    def __init__(self, quota: int = 0) -> None:
        self._quota = quota
        self._lock = Lock()
        self.used = 0
        self.written = 0

    def take(self, size: int) -> None:
        """Take `size` bytes, or raise `InsufficientStorage` and take none."""
        with self._lock:
            if self._quota and self.used + size > self._quota:
                raise InsufficientStorage
            self.used += size

    def wrote(self, size: int) -> None:
        """Note that `size` of the bytes taken are on the disk now."""
        with self._lock:
            self.written += size

    def give_back(self, size: int, written: int = 0) -> None:
        """Give `size` bytes back, of which `written` were on the disk."""
        with self._lock:
            self.used -= size
            self.written -= written

    def check_disk(self, directory: Path) -> None:
        """Raise `InsufficientStorage` where the disk cannot hold all that is reserved. May block."""
        with self._lock:  # before the disk is asked: what is written in between counts twice, not never
            to_come = self.used - self.written
        try:
            disk = os.statvfs(directory)
        except OSError as error:
            raise InsufficientStorage from error
        # A file system that tells no size has f_blocks 0.
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < to_come + _KEEP_FREE:
            raise InsufficientStorage
