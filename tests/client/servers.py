"""Servers that answer what they like, and calls to them by either client."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from inference_gateway.client import (
    AsyncInferenceClient,
    InferenceClient,
    InferenceResult,
    Input,
    RetryPolicy,
)
from tests.harness.listening import listening
from tests.harness.raw import RECEIVE_SIZE, Address
from tests.harness.wire import digest, reply_bytes

LIMIT = 30.0
ONCE = RetryPolicy(attempts=1)
RELATED = "Content-Type: multipart/related; boundary=T"


def url(address: Address | str) -> str:
    return address if isinstance(address, str) else f"http://{address[0]}:{address[1]}"


def by_client(
    address: Address | str,
    json_input: Any = 1,
    inputs: Iterable[Input] = (),
    route: str = "/",
    *,
    retry: RetryPolicy = ONCE,
    on_progress: Callable[[Any], object] | None = None,
    **options: Any,
) -> InferenceResult:
    """One call by a client of its own."""
    with InferenceClient(url(address), retry=retry, **_with_defaults(options)) as client:
        return client.infer(json_input, inputs, route, on_progress=on_progress)


def by_async_client(
    address: Address | str,
    json_input: Any = 1,
    inputs: Iterable[Input] = (),
    route: str = "/",
    *,
    retry: RetryPolicy = ONCE,
    on_progress: Callable[[Any], object] | None = None,
    **options: Any,
) -> InferenceResult:
    """The same, on an event loop of its own."""

    async def call() -> InferenceResult:
        async with AsyncInferenceClient(url(address), retry=retry, **_with_defaults(options)) as client:
            return await client.infer(json_input, inputs, route, on_progress=on_progress)

    return asyncio.run(call())


def _with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    # A context for TLS with all the system's certificates takes longer to make than most calls.
    return {"trust_env": False, "timeout": LIMIT, "verify": False, **options}


CALLERS = [by_client, by_async_client]
Call = Callable[..., InferenceResult]


@contextmanager
def server(respond: Callable[[socket.socket, bytes], object]) -> Iterator[Address]:
    """Reads whole requests with a length and lets `respond` answer each; then it closes."""

    def with_body(connection: socket.socket) -> None:
        respond(connection, read_request(connection))

    with listening(with_body) as address:
        yield address


@contextmanager
def refusing() -> Iterator[socket.socket]:
    """A socket with a port of its own, at which connections are refused until it listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, with its empty line, and what has come of the body."""
    came = b""
    while b"\r\n\r\n" not in came:
        came += connection.recv(RECEIVE_SIZE)
    head, end, body = came.partition(b"\r\n\r\n")
    return head + end, body


def read_request(connection: socket.socket) -> bytes:
    head, body = read_head(connection)
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2])
    while len(body) < length:
        body += connection.recv(RECEIVE_SIZE)
    return head + body


def read_to_end(connection: socket.socket) -> int:
    """How many bytes still come until the client closes."""
    count = 0
    with suppress(ConnectionResetError):
        while data := connection.recv(RECEIVE_SIZE):
            count += len(data)
    return count


def forward(to: Address, sent: bytes) -> bytes:
    """Everything that a real gateway answers."""
    with socket.create_connection(to, timeout=LIMIT) as connection:
        connection.sendall(sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        return b"".join(iter(lambda: connection.recv(RECEIVE_SIZE), b""))


def answer_of(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def canned(value: bytes, *elements: tuple[str, bytes], json_input: Any = 1) -> bytes:
    """A true answer to a request without inputs, with `value` in place of its JSON."""
    input_hash = digest(json.dumps(json_input).encode())
    body = reply_bytes("T", {"parts": []}, elements, input_hash)
    output_hash = digest(b'{"parts": []}', *(each for _, each in elements))
    true_hash = digest(value, *(each for _, each in elements))
    return body.replace(b'{"parts": []}', value).replace(output_hash.encode(), true_hash.encode())


TRUE = canned(b'{"parts": [{"binary_type": "heatmap"}]}', ("application/binary", b"pixels"))
