"""Results of a model, prepared and streamed without a socket."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from inference_gateway.answer.stream import ResponseStream
from inference_gateway.execution.check import Contract, InferenceResponse, prepare
from inference_gateway.payload.contract import BINARY_TYPES

TEMP = Path(tempfile.gettempdir())
TYPES = {**BINARY_TYPES, "mine": "application/x-mine"}
CONTRACT = Contract(TYPES, TEMP)
TOKEN = "0123456789abcdef" * 2
INPUT_HASH = "ab" * 32
LARGE = bytes(range(256)) * 5000


def described(*binary_types: str) -> dict[str, Any]:
    return {"protocol_version": "1.0", "parts": [{"binary_type": each} for each in binary_types]}


def prepared(*elements: Any) -> InferenceResponse:
    """The response of a model that returned these elements."""
    return prepare((described(*["heatmap"] * len(elements)), list(elements)), CONTRACT)


async def beside(*elements: Any) -> InferenceResponse:
    """The same beside the event loop, as the gateway does it: files and paths block."""
    return await asyncio.to_thread(prepared, *elements)


def bytes_of(value: Any) -> bytes:
    """What is sent of one element, block by block."""
    ready = prepared(value)
    try:
        [(_, element)] = ready.elements
        data = b"".join(map(bytes, element.blocks()))
        assert element.size in (None, len(data))
        return data
    finally:
        ready.close()


class Streamed:
    """All that a response sends."""

    def __init__(self, ready: InferenceResponse) -> None:
        self.stream = ResponseStream(ready, TOKEN, INPUT_HASH, asyncio.to_thread, asyncio.to_thread)
        self.content_length = self.stream.content_length
        self.blocks: list[bytes] = []
        self.ended = False

    async def run(self) -> "Streamed":
        async for block, more in self.stream.body():
            assert not self.ended
            self.blocks.append(bytes(block))
            self.ended = not more
        return self

    @property
    def body(self) -> bytes:
        return b"".join(self.blocks)


async def streamed(ready: InferenceResponse) -> Streamed:
    """Sends a response, as far as it goes, and closes it."""
    try:
        return await Streamed(ready).run()
    finally:
        ready.close()
