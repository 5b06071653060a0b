"""Where the bytes of a request's body come from."""

from __future__ import annotations

from typing import Protocol

from starlette.types import Receive

from inference_gateway.errors import ClientDisconnected


class Body(Protocol):
    """A body that is being received."""

    @property
    def begun(self) -> bool:
        """Tell whether it has been asked for, so that a client which waits for a 100 sends it."""
        ...

    @property
    def complete(self) -> bool:
        """Tell whether the client has sent all of it."""
        ...

    async def readinto(self, buffer: memoryview) -> int:
        """Wait for bytes, put them into `buffer`, and return how many; 0 at the end of the body.

        Raises `ClientDisconnected`.
        """
        ...


class WholeBody:
    """A body of which every byte has come already: `data`."""

    begun = complete = True

    def __init__(self, data: bytearray) -> None:
        self.data = data
        self._read = 0

    async def readinto(self, buffer: memoryview) -> int:
        """Copy the next bytes, without waiting."""
        size = min(len(buffer), len(self.data) - self._read)
        buffer[:size] = memoryview(self.data)[self._read : self._read + size]
        self._read += size
        return size


class AsgiBody:
    """A body that comes as ASGI messages."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._message = memoryview(b"")
        self.begun = False
        self.complete = False

    async def readinto(self, buffer: memoryview) -> int:
        """Copy what has come, so that its memory is free for the next message at once."""
        while not self._message:
            if self.complete:
                return 0
            self.begun = True
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientDisconnected("the client left during the upload")
            self.complete = not message.get("more_body", False)
            self._message = memoryview(message.get("body", b""))
        size = min(len(buffer), len(self._message))
        buffer[:size] = self._message[:size]
        self._message = self._message[size:]
        return size
