"""What a server's process says to who started it."""

from __future__ import annotations

EXIT_SETUP_FAILED = 3
RUNNING, READY = b"0", b"1"  # what a worker tells its supervisor: the loop turns; the models are set up too
