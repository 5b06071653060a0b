"""The load, in a process of its own: `python -m benchmarks.client` reads a job as JSON, prints what it saw.

It must not be what is measured, so bodies are files that the kernel sends (`sendfile`), answers are read into
one buffer and thrown away, and small requests go through one loop over `epoll` that parses little more than
the length.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

HOST = "127.0.0.1"
BUFFER = 1 << 20
KEPT = 4096  # bytes of an answer's body that are kept, to see what the server counted
PATIENCE = 180  # seconds without a byte in either direction


@dataclass(frozen=True)
class Job:
    """`upload` sends the body once per connection, or again for `seconds`; the other kinds take `seconds`."""

    kind: Literal["upload", "small", "ping"]
    port: int
    path: str = "/"
    content_type: str = ""
    body_file: str = ""
    framed: bool = False  # the file is in HTTP chunks already
    connections: int = 1
    seconds: float = 0.0
    interval: float = 0.005


@dataclass
class Seen:
    """What came of a job. `error` is empty when every answer was whole and had status 200."""

    seconds: float = 0.0
    requests: int = 0
    sent: int = 0
    received: int = 0
    status: int = 0
    answer: str = ""
    latencies: list[float] = field(default_factory=list)
    error: str = ""


@dataclass
class Answer:
    status: int
    start: bytes
    length: int


class Broken(Exception):
    """The answer did not come whole."""


def connect(port: int) -> socket.socket:
    sock = socket.create_connection((HOST, port), timeout=PATIENCE)
    sock.settimeout(None)  # blocking, with the kernel's own time limit: sendfile then needs no select
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", PATIENCE, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def request_head(job: Job, size: int, *, close: bool) -> bytes:
    framing = "Transfer-Encoding: chunked" if job.framed else f"Content-Length: {size}"
    lines = [
        f"POST {job.path} HTTP/1.1",
        f"Host: {HOST}:{job.port}",
        f"Content-Type: {job.content_type}",
        framing,
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


# One answer, read by a blocking socket


class AnswerReader:
    """Reads one answer, keeps the first bytes of its body, counts the rest."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray(BUFFER)
        self.view = memoryview(self.buffer)
        self.start = bytearray()
        self.length = 0

    def read(self) -> Answer:
        filled, end = 0, -1
        while end < 0:
            count = self.sock.recv_into(self.view[filled:])
            if not count:
                raise Broken("closed before the end of the headers")
            filled += count
            end = self.buffer.find(b"\r\n\r\n", 0, filled)
        head = bytes(self.view[:end]).lower()
        status = int(head.split(b" ", 2)[1])
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        if length:
            self._read_counted(end + 4, filled, int(length[1]))
        elif b"\r\ntransfer-encoding: chunked" in head:
            self._read_chunks(end + 4, filled)
        else:
            self._take(end + 4, filled)
            while count := self.sock.recv_into(self.view):
                self._take(0, count)
        return Answer(status, bytes(self.start), self.length)

    def _take(self, begin: int, end: int) -> None:
        if len(self.start) < KEPT:
            self.start += self.view[begin : min(end, begin + KEPT)]
        self.length += end - begin

    def _read_counted(self, begin: int, filled: int, length: int) -> None:
        self._take(begin, filled)
        while self.length < length:
            count = self.sock.recv_into(self.view)
            if not count:
                raise Broken(f"closed after {self.length} of {length} bytes")
            self._take(0, count)

    def _read_chunks(self, begin: int, filled: int) -> None:
        """Chunk after chunk; `left` is what the current one still has, its CRLF not counted."""
        while True:
            line_end = self.buffer.find(b"\r\n", begin, filled)
            while line_end < 0:
                begin, filled = self._refill(begin, filled)
                line_end = self.buffer.find(b"\r\n", begin, filled)
            left = int(bytes(self.view[begin:line_end]).split(b";")[0], 16)
            if left == 0:
                return
            begin = line_end + 2
            while left > filled - begin:
                self._take(begin, filled)
                left -= filled - begin
                begin, filled = self._refill(filled, filled)
            self._take(begin, begin + left)
            begin += left
            while filled - begin < 2:
                begin, filled = self._refill(begin, filled)
            begin += 2

    def _refill(self, begin: int, filled: int) -> tuple[int, int]:
        kept = filled - begin
        self.buffer[:kept] = self.buffer[begin:filled]
        count = self.sock.recv_into(self.view[kept:])
        if not count:
            raise Broken("closed in the middle of a chunked answer")
        return 0, kept + count


# Bulk: one thread per connection, nearly all of its time in the kernel


def upload(job: Job) -> Seen:
    seen, lock = Seen(), threading.Lock()
    barrier = threading.Barrier(job.connections + 1)

    def run() -> None:
        barrier.wait()
        deadline = time.perf_counter() + job.seconds
        while True:
            sent, answer, error = upload_once(job)
            with lock:
                seen.requests += 1
                seen.sent += sent
                seen.error = seen.error or error
                if answer:
                    seen.received += answer.length
                    seen.status = max(seen.status, answer.status)
                    seen.answer = answer.start.decode("latin-1")
            if error or time.perf_counter() >= deadline:
                return

    threads = [threading.Thread(target=run) for _ in range(job.connections)]
    for thread in threads:
        thread.start()
    barrier.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    seen.seconds = time.perf_counter() - begin
    return seen


def upload_once(job: Job) -> tuple[int, Answer | None, str]:
    error = ""
    with open(job.body_file, "rb") as file, connect(job.port) as sock:
        size = os.fstat(file.fileno()).st_size
        sent = 0
        try:
            sock.sendall(request_head(job, size, close=True))
            while sent < size:
                sent += os.sendfile(sock.fileno(), file.fileno(), sent, size - sent)
        except OSError as refusal:
            error = f"sending stopped after {sent} of {size} bytes: {refusal}"
        try:
            answer = AnswerReader(sock).read()
        except (Broken, OSError) as failure:
            return sent, None, error or f"no whole answer: {failure}"
        if answer.status != 200:
            error = f"answered {answer.status}: {answer.start[:200].decode('latin-1')}"
        return sent, answer, error


# Small requests: one loop, as many connections as are asked for, each with one request under way


class Connection:
    """One connection that is kept alive where the server lets it be."""

    def __init__(self, port: int, request: bytes) -> None:
        self.port = port
        self.request = request
        self.sock = socket.socket()
        self.unsent = memoryview(b"")
        self.received = b""
        self.begin = 0.0
        self.events = 0

    def open(self, selector: selectors.BaseSelector) -> None:
        self.sock = connect(self.port)
        self.sock.setblocking(False)
        self.events = selectors.EVENT_READ
        selector.register(self.sock, self.events, self)

    def close(self, selector: selectors.BaseSelector) -> None:
        selector.unregister(self.sock)
        self.sock.close()

    def ask(self, selector: selectors.BaseSelector) -> None:
        self.begin = time.perf_counter()
        self.received = b""
        self.unsent = memoryview(self.request)
        self.push(selector)

    def push(self, selector: selectors.BaseSelector) -> None:
        with contextlib.suppress(BlockingIOError):
            self.unsent = self.unsent[self.sock.send(self.unsent) :]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.unsent else 0)
        if events != self.events:
            self.events = events
            selector.modify(self.sock, events, self)

    def pull(self) -> tuple[bytes, bool] | None:
        """The whole answer and whether the connection goes on, or None while it is not whole."""
        data = self.sock.recv(1 << 18)
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if separator:
            lower = head.lower()
            at = lower.find(b"\r\ncontent-length:")
            if at >= 0:
                line_end = lower.find(b"\r\n", at + 2)
                length = int(lower[at + 17 : line_end if line_end >= 0 else None])
                whole = len(body) >= length
            else:
                whole = body.endswith(b"0\r\n\r\n")
            if whole:
                return self.received, bool(data) and b"\r\nconnection: close" not in lower
        if not data:
            raise Broken("closed in the middle of an answer")
        return None


def small(job: Job) -> Seen:
    """The first tenth of the time warms up. What is asked in the time is waited for, and counts in full."""
    with open(job.body_file, "rb") as file:
        body = file.read()
    request = request_head(job, len(body), close=False) + body
    seen = Seen()
    with selectors.DefaultSelector() as selector:
        connections = [Connection(job.port, request) for _ in range(job.connections)]
        for connection in connections:
            connection.open(selector)
        ask_for(job.seconds / 10, selector, connections, Seen())
        seen.seconds = ask_for(job.seconds * 9 / 10, selector, connections, seen)
        for connection in connections:
            connection.close(selector)
    return seen


def ask_for(
    seconds: float, selector: selectors.BaseSelector, connections: Sequence[Connection], seen: Seen
) -> float:
    """Each connection asks again and again, for so long; returns the seconds until the last answer."""
    begin = now = time.perf_counter()
    for connection in connections:
        connection.ask(selector)
    busy = len(connections)
    while busy and not seen.error:
        for key, events in selector.select(PATIENCE):
            connection = key.data
            if events & selectors.EVENT_WRITE:
                connection.push(selector)
            if not events & selectors.EVENT_READ:
                continue
            try:
                pulled = connection.pull()
            except (Broken, OSError) as failure:
                seen.error = str(failure)
                break
            now = time.perf_counter()
            if pulled is None:
                continue
            answer, goes_on = pulled
            note(answer, now - connection.begin, seen)
            if not goes_on:
                connection.close(selector)
                connection.open(selector)
            if now < begin + seconds:
                connection.ask(selector)
            else:
                busy -= 1
    return now - begin


def note(answer: bytes, latency: float, seen: Seen) -> None:
    seen.status = int(answer[9:12])
    seen.requests += 1
    seen.latencies.append(latency)
    if seen.status != 200:
        seen.error = answer[:400].decode("latin-1")
    elif not seen.answer:
        seen.answer = answer[-KEPT:].decode("latin-1")


# Probes: a new connection each, as an orchestrator does


def ping(job: Job) -> Seen:
    seen = Seen()
    request = f"GET {job.path} HTTP/1.1\r\nHost: {HOST}:{job.port}\r\nConnection: close\r\n\r\n".encode()
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + job.seconds:
        try:
            with connect(job.port) as sock:
                sock.sendall(request)
                answer = AnswerReader(sock).read()
        except (Broken, OSError) as failure:
            seen.error = f"a probe was not answered: {failure}"
        else:
            seen.status = max(seen.status, answer.status)
        seen.requests += 1
        seen.latencies.append(time.perf_counter() - now)
        time.sleep(max(0.0, job.interval - seen.latencies[-1]))
    seen.seconds = time.perf_counter() - begin
    return seen


def main(arguments: Sequence[str] = ()) -> None:
    job = Job(**json.load(sys.stdin))
    seen = {"upload": upload, "small": small, "ping": ping}[job.kind](job)
    json.dump(asdict(seen), sys.stdout)


if __name__ == "__main__":
    main()
