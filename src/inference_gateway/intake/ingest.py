"""The body of a request: from the event loop to an `InferenceRequest`.

The loop only receives, into a window. A full window is decoded and spooled on one thread and hashed on
another while the next one fills. When the threads are behind, the loop stops receiving, and the client feels
it through TCP. So two windows of memory are in flight, whatever the size of the body; windows are used again,
since memory that is touched for the first time is slow. A body that is smaller than a few tens of KB is done
with on the spot: a thread would cost more than the work.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

from inference_gateway.errors import ClientDisconnected, LimitExceeded, RequestError, UploadTimeout
from inference_gateway.intake.assembler import InferenceRequest, RequestAssembler
from inference_gateway.intake.body import Body, WholeBody
from inference_gateway.intake.pace import Pace
from inference_gateway.intake.workers import WINDOW, Workers
from inference_gateway.settings import Settings

_IN_FLIGHT = 2  # windows of one upload, the one that is being filled too
_INLINE = 64 << 10  # a body up to this size is handled on the event loop
SMALL = 128 << 10  # and up to this one, where the size was declared; docs/decisions/0009 has what it costs


@dataclass(slots=True)
class _Window:
    """A piece of the body on its way through the threads."""

    data: bytearray
    runs: list[memoryview] = field(default_factory=list)  # of part bodies: what is hashed


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
    """Receives one body and gives it to `assembler`, window by window."""

    def __init__(self, assembler: RequestAssembler, settings: Settings, workers: Workers) -> None:
        self._assembler = assembler
        self._settings = settings
        self._workers = workers
        self._loop = asyncio.get_running_loop()
        self._memory = workers.take_window()
        self._filled = 0
        self._spare: list[bytearray] = []  # windows that the threads are done with
        self._decoding, self._hashing = _Stage(workers.executor), _Stage(workers.executor)
        self._in_flight = 0  # windows that the threads have
        self._error: Exception | None = None  # the first that they met: what comes behind it is passed over
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0

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
                self._hand_off()
                await self._until_in_flight(0)
                raise
            except UploadTimeout:
                # The same, but where the time is up since the worker is stuck, there is no waiting for it.
                if not self._in_flight:
                    self._hand_off()
                    await self._until_in_flight(0)
                raise
            except ClientDisconnected:
                # Nobody waits for an answer: the upload's slot and file are kept until its thread has ended.
                with suppress(RequestError):
                    await self._until_in_flight(0)
                raise
            if self.received > WINDOW:
                self._hand_off()
                await self._until_in_flight(0)
            if self.received <= min(_INLINE, self._settings.spool_memory_bytes):  # no file either
                return self._finish()
            request: InferenceRequest = await self._workers.run(self._finish)
            return request
        except asyncio.CancelledError:
            self._memory = bytearray()  # a thread may still be at it
            raise
        finally:
            for window in (self._memory, *self._spare):
                self._workers.give_back(window)

    async def _receive_all(self, body: Body) -> None:
        limit = self._settings.max_body_bytes
        async with Pace(self._settings) as pace:
            while size := await body.readinto(memoryview(self._memory)[self._filled :]):
                pace.received(size)
                taken = min(size, limit - self.received)
                self.received += taken
                self._filled += taken
                if taken < size:
                    raise LimitExceeded(f"the body is larger than the limit of {limit} bytes")
                if self._filled == WINDOW:
                    pace.pause()
                    self._hand_off()
                    await self._until_in_flight(_IN_FLIGHT - 1)
                    self._memory = self._spare.pop() if self._spare else self._workers.take_window()
                    pace.resume()

    def _hand_off(self) -> None:
        """Gives the window to the threads."""
        window = _cut(self._memory, self._filled)
        self._memory, self._filled = bytearray(), 0
        self._in_flight += 1
        self._decoding.put(partial(self._decode, _Window(window)))

    async def _until_in_flight(self, most: int) -> None:
        """Waits until the threads have no more than `most` windows. Raises what they met."""
        while self._in_flight > most:
            self._waiter = self._loop.create_future()
            await self._waiter
        if self._error is not None:
            raise self._error

    def _finish(self) -> InferenceRequest:
        with self._assembler.spool:
            return self._assembler.finish(self._memory[: self._filled])

    def _decode(self, window: _Window) -> None:
        """On a thread: decodes the window and stores it."""
        try:
            if self._error is None:
                window.runs = self._assembler.decode(window.data)
                with self._assembler.spool:
                    self._assembler.store(window.data)
        except Exception as error:
            self._error = error
        self._hashing.put(partial(self._hash, window))

    def _hash(self, window: _Window) -> None:
        """On another: hashes it. Then it may be used again."""
        if self._error is None:
            self._assembler.hash(window.runs)
        window.runs.clear()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._done, window)

    def _done(self, window: _Window) -> None:
        self._spare.append(window.data)
        self._in_flight -= 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _cut(memory: bytearray, size: int) -> bytearray:
    """The first `size` bytes: without a copy, unless an error's traceback still refers to the rest."""
    try:
        del memory[size:]
    except BufferError:
        return memory[:size]
    return memory


class SmallIngest:
    """Receives a body that is declared to be small: `size` bytes, all of it done on the event loop."""

    def __init__(self, assembler: RequestAssembler, settings: Settings, size: int) -> None:
        self._assembler = assembler
        self._settings = settings
        self._size = size
        self.received = 0

    async def run(self, body: Body) -> InferenceRequest:
        """As `Ingest.run`."""
        if isinstance(body, WholeBody):  # nothing to wait for, or to be late
            self.received = len(body.data)
            return self._assembler.finish(body.data)
        data = bytearray(self._size)
        try:
            await self._receive_all(body, memoryview(data))
        except UploadTimeout:
            self._assembler.feed(data[: self.received])  # malformed already? Then that is the answer
            raise
        return self._assembler.finish(data[: self.received])

    async def _receive_all(self, body: Body, room: memoryview) -> None:
        async with Pace(self._settings) as pace:
            while room and (size := await body.readinto(room)):
                pace.received(size)
                self.received += size
                room = room[size:]
