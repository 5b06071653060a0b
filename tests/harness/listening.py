"""A port of 127.0.0.1 behind which a test puts what it likes."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.harness.raw import Address

LIMIT = 30.0


@contextmanager
def listening(
    serve: Callable[[socket.socket], object], bound: socket.socket | None = None
) -> Iterator[Address]:
    """Lets `serve` have each connection, one after the other; then it closes."""

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(LIMIT)
            with connection, suppress(OSError):
                serve(connection)

    if bound is not None:
        bound.listen()
    with bound or socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT)
