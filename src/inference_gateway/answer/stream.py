"""The answer's body as an async generator: it never holds more than a few blocks of an element."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

from inference_gateway.answer.check import InferenceResponse
from inference_gateway.errors import InvalidModelOutput
from inference_gateway.multipart import Encoder
from inference_gateway.payload.element import BLOCK, Block, BufferElement, Element, IterableElement

Run = Callable[..., Awaitable[Any]]  # runs a blocking function somewhere beside the event loop
_INLINE = 64 << 10  # an element in memory up to this size is hashed on the event loop and sent in one piece


class ResponseStream:
    """The answer's body: `content_length` (None where unknown), and `body()`, its bytes.

    `boundary`: random, so that no element contains it.

    `run` runs a blocking function beside the event loop, `run_model` on a thread of the model: iterables
    are the model's own work. `output_hash` is there when the iteration has ended: SHA-256 hex over the JSON
    and the body of each element, as sent. Each element's size is checked against what was announced; an
    element that fails raises, and the answer must not be completed.
    """

    def __init__(
        self, response: InferenceResponse, boundary: str, input_hash: str, run: Run, run_model: Run
    ) -> None:
        self.output_hash: str | None = None
        self._input_hash = input_hash
        self._run = run
        self._run_model = run_model
        self._digest = hashlib.sha256()
        encoder = Encoder(boundary)
        self._parts: list[tuple[bytes, Element]] = [
            (_head(encoder, "json-body", "application/json"), BufferElement(memoryview(response.json)))
        ]
        for index, (media_type, element) in enumerate(response.elements):
            self._parts.append((_head(encoder, f"elem_{index}", media_type), element))
        self._hashes_head = _head(encoder, "hashes", "text/plain")
        self._end_part = encoder.end_part()
        self._finish = encoder.finish()

    @property
    def content_length(self) -> int | None:
        """Length of the whole body in bytes, None where an element's size is not known beforehand."""
        total = len(self._hashes_head) + 2 * 64 + 1 + len(self._end_part) + len(self._finish)
        for head, element in self._parts:
            if element.size is None:
                return None
            total += len(head) + element.size + len(self._end_part)
        return total

    async def body(self) -> AsyncGenerator[tuple[Block, bool], None]:
        """The bytes, once: blocks, and with each whether more will come."""
        small = bytearray()  # short runs go out together
        for head, element in self._parts:
            small += head
            if isinstance(element, BufferElement) and element.size <= _INLINE:
                self._digest.update(element.view)
                small += element.view
            else:
                yield bytes(small), True
                small.clear()
                blocks = (
                    self._buffer(element) if isinstance(element, BufferElement) else self._blocks(element)
                )
                async for block in blocks:
                    for start in range(0, len(block), BLOCK):
                        yield block[start : start + BLOCK], True
            small += self._end_part
            if len(small) > _INLINE:
                yield bytes(small), True
                small.clear()
        self.output_hash = self._digest.hexdigest()
        small += self._hashes_head + f"{self._input_hash}:{self.output_hash}".encode()
        yield bytes(small + self._end_part + self._finish), False

    async def _buffer(self, element: BufferElement) -> AsyncGenerator[Block, None]:
        """Hashes it in one go, beside the sending."""
        hashing = asyncio.ensure_future(self._run(self._digest.update, element.view))
        yield element.view
        await hashing

    async def _blocks(self, element: Element) -> AsyncGenerator[Block, None]:
        """Reads one block ahead; hashes where it reads."""
        run = self._run_model if isinstance(element, IterableElement) else self._run
        blocks = element.blocks()
        size = 0
        ahead = asyncio.ensure_future(run(self._next_block, blocks))
        try:
            while (block := await asyncio.shield(ahead)) is not None:
                size += len(block)
                if element.size is not None and size > element.size:
                    break
                ahead = asyncio.ensure_future(run(self._next_block, blocks))
                await asyncio.sleep(0)  # it goes to its thread now, not when this block has been sent
                yield block
        finally:
            ahead.add_done_callback(_see_exception)
        if element.size is not None and size != element.size:
            raise InvalidModelOutput("an element has another size than it had before it was sent")

    def _next_block(self, blocks: Iterator[Block]) -> Block | None:
        block = next(blocks, None)
        if block is not None:
            self._digest.update(block)
        return block


def _head(encoder: Encoder, name: str, media_type: str) -> bytes:
    return encoder.begin_part(
        [
            ("Content-Disposition", f'form-data; name="{name}"; filename="{name}"'),
            ("Content-Type", media_type),
        ]
    )


def _see_exception(job: asyncio.Future[Any]) -> None:
    """Nobody waits for this block any more."""
    if not job.cancelled():
        job.exception()
