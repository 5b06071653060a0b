"""The time limits of one upload."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

from inference_gateway.errors import UploadTimeout
from inference_gateway.settings import Settings

_RATE_PERIOD = 30.0  # seconds over which the rate is averaged where there is no idle limit


class Pace:
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
        """Note that `size` bytes of the body have come."""
        self._last = self._loop.time()
        self._bytes += size

    def pause(self) -> None:
        """Note that the gateway stops receiving."""
        self._paused = True

    def resume(self) -> None:
        """Note that the gateway receives (again)."""
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

    async def __aenter__(self) -> Pace:
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
