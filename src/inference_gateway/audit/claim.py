"""A file that one process at a time has claimed, so that no two write to the same place."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path


class Claim:
    """A claimed file, open to be read and written as `descriptor`.

    The kernel lets go of it when the process ends, however that is (flock(2)). What the process forks has
    none of its claims.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        _held.add(self)

    @classmethod
    def take(cls, path: Path) -> Claim | None:
        """Claim a file, which is made where there is none; None where another has it. Raises `OSError`."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


_held: weakref.WeakSet[Claim] = weakref.WeakSet()


def _let_go() -> None:
    for claim in list(_held):
        claim.release()


os.register_at_fork(after_in_child=_let_go)
