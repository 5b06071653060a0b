"""Where the client keeps what it cannot read again, and the answer: memory, then a file without a name."""

from __future__ import annotations

import tempfile
from pathlib import Path

from inference_gateway.errors import InsufficientStorage
from inference_gateway.payload.spool import Spool

_MEMORY = 1 << 20


class TemporarySpool(Spool):
    """A spool in the system's folder for temporary files (`TMPDIR`), beyond 1 MiB of memory.

    It frees itself when nobody refers to it any more: a caller may forget to close a result.
    """

    def __init__(self) -> None:
        super().__init__(Path(tempfile.gettempdir()), _MEMORY)

    def append(self, data: bytes | bytearray) -> None:
        """Add bytes at the end. Raises `OSError` where the folder is full or cannot be used."""
        try:
            super().append(data)
        except InsufficientStorage as error:
            reason = error.__cause__
            assert isinstance(reason, OSError)  # there is no quota
            raise OSError(
                reason.errno, f"{reason.strerror}: set TMPDIR to a folder with room", tempfile.gettempdir()
            ) from error

    def close(self) -> None:
        """Lets go, once."""
        if not self.closed:
            self.release()

    def __del__(self) -> None:
        self.close()
