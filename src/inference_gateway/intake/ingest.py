"""The body of a request: from the event loop to an `InferenceRequest`.

A body is received into windows that fit it. One that stays in memory is received where it will stay: no byte
of it is copied. A small one is decoded, kept and hashed by the event loop, window by window. With a larger
one threads follow; where they are behind, the loop stops receiving, and the client feels it through TCP.
Where the body goes to a file, one thread decodes and writes a window and another hashes it, and two windows
are in memory, whatever the size of the body.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Lock

from inference_gateway.errors import ClientDisconnected, LimitExceeded, RequestError, UploadTimeout
from inference_gateway.intake.assembler import InferenceRequest, RequestAssembler
from inference_gateway.intake.body import Body
from inference_gateway.intake.pace import Pace
from inference_gateway.intake.workers import BLOCK, WINDOW, Workers
from inference_gateway.settings import Settings

INLINE = 1 << 20  # bytes: a body up to this size is decoded and hashed on the event loop
_FIRST = 64 << 10  # bytes: the first window of a body of unknown length
# Bytes of one upload that have been received and that the threads are not done with, by its windows' size.
_IN_FLIGHT = {WINDOW: 2 * WINDOW, BLOCK: 8 * BLOCK}


def inline_bytes(settings: Settings) -> int:
    """Return up to which size a body is decoded and hashed on the event loop."""
    return min(INLINE, settings.spool_memory_bytes)


class _Stage:
    """A step of the work: one window after the other, in order, on whichever of the threads is free.

    A thread takes one window at a time, so that no upload keeps the threads from the others.
    """

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._line: deque[Callable[[], None]] = deque()
        self._lock = Lock()

    def put(self, work: Callable[[], None]) -> None:
        """`work` is done with one window. From any thread."""
        with self._lock:
            self._line.append(work)
            begin = len(self._line) == 1
        if begin:
            self._executor.submit(self._step)

    def _step(self) -> None:
        self._line[0]()
        with self._lock:
            self._line.popleft()
            more = bool(self._line)
        if more:
            self._executor.submit(self._step)


class Ingest:
    """Receives one body and gives it to `assembler`, window by window. `declared`: its bytes, or 0."""

    def __init__(
        self, assembler: RequestAssembler, settings: Settings, workers: Workers, declared: int = 0
    ) -> None:
        self._assembler = assembler
        self._settings = settings
        self._workers = workers
        self._declared = declared
        most = inline_bytes(settings)
        self._inline = most if declared <= most else 0  # bytes: so far the event loop does it itself
        self._loop = asyncio.get_running_loop()
        self._window = bytearray()
        self._filled = 0
        self._stages: tuple[_Stage, _Stage] | None = None  # once threads are needed: decoding, hashing
        self._in_flight = 0  # bytes that the threads have
        self._error: Exception | None = None  # the first that they met: what comes behind it is passed over
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0

    @property
    def needs_no_thread(self) -> bool:
        """Whether the event loop will do all of it, and nothing waits for a disk."""
        return 0 < self._declared <= self._inline

    async def run(self, body: Body) -> InferenceRequest:
        """Receives to the end of the body.

        Raises `RequestError`, two windows after the byte that decides it at the latest, or
        `ClientDisconnected`.
        """
        try:
            try:
                await self._receive_all(body)
            except LimitExceeded:
                # What came before may be malformed already: then that is the answer, however it was cut.
                self._take()
                await self._until_in_flight(0)
                raise
            except UploadTimeout:
                # The same, but where the time is up since the worker is stuck, there is no waiting for it.
                if not self._in_flight:
                    self._take()
                    await self._until_in_flight(0)
                raise
            self._take()
        except ClientDisconnected:
            # Nobody waits for an answer: the upload's slot and file are kept until its thread has ended.
            with suppress(RequestError):
                await self._until_in_flight(0)
            raise
        if self._inline:
            return self._assembler.finish()
        await self._until_in_flight(0)
        request: InferenceRequest = await self._workers.run(self._finish)
        return request

    async def _receive_all(self, body: Body) -> None:
        limit = self._settings.max_body_bytes
        async with Pace(self._settings) as pace:
            while self.received != self._declared or not body.complete:
                if self._filled == len(self._window):
                    await self._next_window(pace)
                size = await body.readinto(memoryview(self._window)[self._filled :])
                if not size:
                    return
                pace.received(size)
                taken = min(size, limit - self.received)
                self.received += taken
                self._filled += taken
                if taken < size:
                    raise LimitExceeded(f"the body is larger than the limit of {limit} bytes")

    async def _next_window(self, pace: Pace) -> None:
        """Give the window away, and take one for what comes next, when the threads let it."""
        self._take()
        most = BLOCK if self._in_memory else WINDOW
        # What is still to come; as much again as has come, where that is not known.
        to_come = self._declared - self.received if self._declared else self.received
        size = min(most, to_come if to_come > 0 else _FIRST)
        behind = _IN_FLIGHT[most] - size
        if most == WINDOW and not self._declared and self._assembler.spool.in_memory:
            behind = 0  # the spool has no file yet, and holds what it will write to it
        if self._in_flight > behind:
            pace.pause()
            await self._until_in_flight(behind)
            pace.resume()
        self._window = self._workers.take(size)  # may be larger, at the end of a body that goes to a file

    @property
    def _in_memory(self) -> bool:
        """Whether the spool will have no file, as far as is known."""
        return max(self._declared, self.received) <= self._settings.spool_memory_bytes

    def _take(self) -> None:
        """Decode, keep and hash what has come: here, or on the threads."""
        if not self._filled:
            return
        window = _cut(self._window, self._filled)
        self._window, self._filled = bytearray(), 0
        if self.received <= self._inline:
            self._assembler.feed(window)
            return
        self._inline = 0
        self._in_flight += len(window)
        if self._stages is None:
            self._stages = _Stage(self._workers.executor), _Stage(self._workers.executor)
        decoding, hashing = self._stages
        if self._in_memory:
            decoding.put(partial(self._feed, window))
        else:
            decoding.put(partial(self._decode, window, hashing))

    async def _until_in_flight(self, most: int) -> None:
        """Wait until the threads have no more than `most` bytes. Raises what they met."""
        while self._in_flight > most:
            self._waiter = self._loop.create_future()
            await self._waiter
        if self._error is not None:
            raise self._error

    def _finish(self) -> InferenceRequest:
        with self._assembler.spool:
            return self._assembler.finish()

    def _feed(self, window: bytearray) -> None:
        """On a thread: all that is to be done with a window that stays in memory."""
        kept = False
        try:
            if self._error is None:
                with self._assembler.spool:
                    kept = self._assembler.feed(window)
        except Exception as error:
            self._error = error
        self._tell(window, kept)

    def _decode(self, window: bytearray, hashing: _Stage) -> None:
        """On a thread: decodes the window and stores it."""
        runs: list[memoryview] = []
        kept = False
        try:
            if self._error is None:
                runs = self._assembler.decode(window)
                with self._assembler.spool:
                    kept = self._assembler.store(window)
        except Exception as error:
            self._error = error
        hashing.put(partial(self._hash, window, kept, runs))

    def _hash(self, window: bytearray, kept: bool, runs: list[memoryview]) -> None:
        """On another: hashes it."""
        if self._error is None:
            self._assembler.hash(runs)
        runs.clear()
        self._tell(window, kept)

    def _tell(self, window: bytearray, kept: bool) -> None:
        """Take a window back from the threads: it may be used again, unless the spool keeps it."""
        size = len(window)
        if not kept:
            self._workers.give_back(window)
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._done, size)

    def _done(self, size: int) -> None:
        self._in_flight -= size
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _cut(memory: bytearray, size: int) -> bytearray:
    """Return the first `size` bytes: without a copy, unless an error's traceback still refers to the rest."""
    try:
        del memory[size:]
    except BufferError:
        return memory[:size]
    return memory
