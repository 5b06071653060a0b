"""Whether the client is still there, from the end of its upload to the end of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import Receive

from inference_gateway.errors import ClientDisconnected, GatewayError, ResponseCut

# Seconds before the first look for a disconnect, or a stall: most small requests are over by then, and it
# costs a task and a timer.
_FIRST_LOOK = 0.02

# Looks at what is still to be sent, in each send timeout.
_LOOKS = 4


class ClientWatch:
    """A context manager that cancels its block when the client has gone.

    Raises `ClientDisconnected` then, or `ResponseCut` where the client takes no byte of the answer for
    `send_timeout` seconds (None: no limit), between `offered()` and `taken()`. `unsent()`: how much it has
    not taken yet, where the server knows; else a block counts as taken or not.
    """

    def __init__(
        self, receive: Receive, send_timeout: float | None, unsent: Callable[[], int] | None = None
    ) -> None:
        self._receive = receive
        self._send_timeout = send_timeout
        self._unsent = unsent or (lambda: 0)
        self._left = 0  # unsent at the last look
        self._took_at = 0.0  # by the loop's clock: the look that found less
        self._loop = asyncio.get_running_loop()
        self._reason: tuple[type[GatewayError], str] | None = None
        self._look: asyncio.Task[None] | None = None
        self._taking_since: float | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def offered(self) -> None:
        """Note that the client is expected to take something of the answer from now on."""
        self._taking_since = self._loop.time()

    def taken(self) -> None:
        """Note that the client has taken it."""
        self._taking_since = None

    def __enter__(self) -> ClientWatch:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()  # by others
        self._look_timer = self._loop.call_later(_FIRST_LOOK, self._begin_looking)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._look_timer.cancel()
        if self._look is not None:
            self._look.cancel()
            self._look = None  # it holds its CancelledError, whose traceback leads here
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        if self._reason is not None:
            others = self._task.uncancel() > self._cancelling
            if kind is asyncio.CancelledError and not others:
                error, sentence = self._reason
                raise error(sentence) from None

    def _begin_looking(self) -> None:
        self._look = self._loop.create_task(self._until_disconnect())
        if self._send_timeout is not None:
            self._arm(self._send_timeout / _LOOKS)

    async def _until_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone(ClientDisconnected, "the client left before the answer was complete")

    def _arm(self, seconds: float) -> None:
        self._stall_timer = self._loop.call_later(seconds, self._check_stall)

    def _check_stall(self) -> None:
        assert self._send_timeout is not None
        now, unsent = self._loop.time(), self._unsent()
        if unsent < self._left or self._taking_since is None:
            self._took_at = now
        self._left = unsent
        waited = now - max(self._taking_since or 0.0, self._took_at)
        if waited >= self._send_timeout:
            self._gone(ResponseCut, "the client took nothing of the answer for too long")
        else:
            self._arm(min(self._send_timeout / _LOOKS, self._send_timeout - waited))

    def _gone(self, error: type[GatewayError], sentence: str) -> None:
        if self._reason is None:
            self._reason = error, sentence  # no exception yet: its traceback would lead here
            self._task.cancel()
