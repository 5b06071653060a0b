"""A server that is none."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def lying(answer: bytes) -> Iterator[int]:
    """A server that reads a request and says always the same; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_one() -> None:
        connection, _ = listener.accept()
        with connection:
            data = b""
            while not data.rstrip().endswith(b"--"):
                data += connection.recv(1 << 16)
            connection.sendall(answer)

    thread = threading.Thread(target=serve_one, daemon=True)
    thread.start()
    with listener:
        yield listener.getsockname()[1]
    with suppress(RuntimeError):
        thread.join(20)
