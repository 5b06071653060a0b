"""The body of a request: from the event loop to an `InferenceRequest`.

The loop only receives, into a window. A full window is decoded, hashed and spooled at once on a worker
thread while the next one fills. When the worker is behind, the loop stops receiving, and the client feels it
through TCP. So two windows of memory are in flight, whatever the size of the body; windows are used again,
since memory that is touched for the first time is slow. A body that is smaller than a few tens of KB is done
with on the spot: a thread would cost more than the work.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Any

from inference_gateway.body import Body
from inference_gateway.errors import ClientDisconnected, LimitExceeded, UploadTimeout
from inference_gateway.request import InferenceRequest, RequestAssembler
from inference_gateway.settings import Settings

WINDOW = 4 << 20  # bytes; docs/decisions/0004 has what other sizes cost
_SPARE_WINDOWS = 2  # kept for the next upload
_INLINE = 64 << 10  # a body up to this size is handled on the event loop
SMALL = 128 << 10  # and up to this one, where the size was declared; docs/decisions/0009 has what it costs
_RATE_PERIOD = 30.0  # seconds over which the rate is averaged where there is no idle limit


class Workers:
    """Threads that decode, hash and spool, and the windows they are given. Their work is short."""

    def __init__(self) -> None:
        threads = min(8, (os.cpu_count() or 1) + 2)
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="spool")
        self._spare: list[bytearray] = []

    async def run(self, function: Any, *args: Any) -> Any:
        """Runs a blocking function on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, function, *args)

    def take_window(self) -> bytearray:
        """A window, with whatever was in it before."""
        return self._spare.pop() if self._spare else bytearray(WINDOW)

    def give_back(self, window: bytearray) -> None:
        """Nobody uses this window any more."""
        if len(self._spare) < _SPARE_WINDOWS:
            self._spare.append(window)


class Ingest:
    """Receives one body and gives it to `assembler`, window by window."""

    def __init__(self, assembler: RequestAssembler, settings: Settings, workers: Workers) -> None:
        self._assembler = assembler
        self._settings = settings
        self._workers = workers
        self._window = workers.take_window()
        self._filled = 0
        self._job: asyncio.Future[None] | None = None  # the window that a worker has
        self.received = 0

    async def run(self, body: Body) -> InferenceRequest:
        """Receives to the end of the body.

        Raises `RequestError`, a window after the byte that decides it at the latest, or
        `ClientDisconnected`.
        """
        try:
            try:
                await self._receive_all(body)
            except (UploadTimeout, LimitExceeded) as error:
                # What came before may be malformed already: then that is the answer, however it was cut.
                # Where the time is up since the worker is stuck, there is no waiting for it.
                if isinstance(error, LimitExceeded) or self._job is None or self._job.done():
                    await self._hand_off()
                    await self._settle()
                raise
            except ClientDisconnected:
                # Nobody waits for an answer: the upload's slot and file are kept until its thread has ended.
                if self._job is not None:
                    await asyncio.wait((self._job,))
                raise
            rest = bytes(memoryview(self._window)[: self._filled])
            if self.received <= _INLINE:
                return self._assembler.finish(rest)
            await self._settle()
            request: InferenceRequest = await self._workers.run(self._assembler.finish, rest)
            return request
        finally:
            self._workers.give_back(self._window)
            if self._job is not None:
                self._job.add_done_callback(_see_exception)

    async def _receive_all(self, body: Body) -> None:
        limit = self._settings.max_body_bytes
        async with _Pace(self._settings) as pace:
            while size := await body.readinto(memoryview(self._window)[self._filled :]):
                pace.received(size)
                taken = min(size, limit - self.received)
                self.received += taken
                self._filled += taken
                if taken < size:
                    raise LimitExceeded(f"the body is larger than the limit of {limit} bytes")
                if self._filled == WINDOW:
                    pace.pause()
                    await self._hand_off()
                    pace.resume()

    async def _hand_off(self) -> None:
        """Gives the window to a worker, once the one before it is done."""
        await self._settle()
        window, filled = self._window, self._filled
        self._window, self._filled = self._workers.take_window(), 0
        self._job = asyncio.ensure_future(self._work(window, filled))

    async def _work(self, window: bytearray, filled: int) -> None:
        """Decodes and hashes a window on one thread while another stores it."""
        data = window if filled == WINDOW else window[:filled]
        ends = await asyncio.gather(
            self._workers.run(self._assembler.decode, data),
            self._workers.run(self._assembler.store, data),
            return_exceptions=True,
        )
        self._workers.give_back(window)
        for end in ends:
            if end is not None:
                raise end

    async def _settle(self) -> None:
        """Waits for the worker. Raises what it found."""
        if self._job is not None:
            await asyncio.shield(self._job)
            self._job = None


def _see_exception(job: asyncio.Future[None]) -> None:
    """Another error has been raised already: this one is of no use to anybody."""
    if not job.cancelled():
        job.exception()


class _Pace:
    """The time limits of one upload, by the monotonic clock, in one timer that is set anew when it fires.

    Time in which the gateway does not receive, since its own worker is behind, counts only for the whole.
    """

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._idle = settings.idle_timeout or inf
        self._rate = settings.min_upload_rate
        self._period = settings.idle_timeout or _RATE_PERIOD
        self._end = self._loop.time() + (settings.upload_timeout or inf)
        self._reason = ""
        self.resume()

    def received(self, size: int) -> None:
        """`size` bytes of the body have come."""
        self._last = self._loop.time()
        self._bytes += size

    def pause(self) -> None:
        """The gateway stops receiving."""
        self._paused = True

    def resume(self) -> None:
        """The gateway receives (again)."""
        self._paused = False
        self._begin_period()
        self._last = self._period_begin

    def _begin_period(self) -> None:
        self._period_begin = self._loop.time()
        self._bytes = 0

    def _check(self) -> None:
        now = self._loop.time()
        if now >= self._end:
            self._reason = "the upload took too long altogether"
        elif not self._paused and now >= self._last + self._idle:
            self._reason = "nothing of the body came for too long"
        elif not self._paused and now >= self._period_begin + self._period:
            if self._bytes < self._rate * self._period:
                self._reason = "the body came too slowly"
            self._begin_period()
        if self._reason:
            self._scope.reschedule(now)
        else:
            self._arm(now)

    def _arm(self, now: float) -> None:
        due = min(self._last + self._idle, self._period_begin + self._period)
        if self._paused:
            due = now + self._period
        self._timer = self._loop.call_at(min(due, self._end), self._check)

    async def __aenter__(self) -> _Pace:
        await self._scope.__aenter__()
        self._arm(self._loop.time())
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        if self._timer:
            self._timer.cancel()
        try:
            await self._scope.__aexit__(*exc_info)
        except TimeoutError:
            raise UploadTimeout(f"{self._reason}: send the body without long pauses") from None


class SmallIngest:
    """Receives a body that is declared to be small: `size` bytes, all of it done on the event loop."""

    def __init__(self, assembler: RequestAssembler, settings: Settings, size: int) -> None:
        self._assembler = assembler
        self._settings = settings
        self._data = bytearray(size)
        self.received = 0

    async def run(self, body: Body) -> InferenceRequest:
        """As `Ingest.run`."""
        try:
            await self._receive_all(body)
        except UploadTimeout:
            self._assembler.feed(self._data[: self.received])  # malformed already? Then that is the answer
            raise
        return self._assembler.finish(self._data[: self.received])

    async def _receive_all(self, body: Body) -> None:
        async with _Pace(self._settings) as pace:
            room = memoryview(self._data)
            while room and (size := await body.readinto(room)):
                pace.received(size)
                self.received += size
                room = room[size:]
