"""The answer's body as an async generator: it never holds more than a few blocks of an element."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

from starlette.types import Message, Send

from inference_gateway.errors import InvalidModelOutput
from inference_gateway.execution.call import guarded
from inference_gateway.execution.check import InferenceResponse
from inference_gateway.intake.uvicorn_inside import cycle_of
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
    element that fails raises `ModelError`, and the answer must not be completed.
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
            (encoder.begin_part(_JSON), BufferElement(memoryview(response.json)))
        ]
        for index, (media_type, element) in enumerate(response.elements):
            self._parts.append((encoder.begin_part(_header(f"elem_{index}", media_type)), element))
        self._hashes_head = encoder.begin_part(_HASHES)
        self._end_part = encoder.end_part()
        self._finish = encoder.finish()
        self.content_length = self._length()

    def _length(self) -> int | None:
        total = len(self._hashes_head) + 2 * 64 + 1 + len(self._end_part) + len(self._finish)
        for head, element in self._parts:
            size = element.size
            if size is None:
                return None
            total += len(head) + size + len(self._end_part)
        return total

    def in_one_piece(self) -> bytes | None:
        """Return the bytes instead of `body()`, where they are few and lie in memory; else None."""
        if self.content_length is None or self.content_length > _INLINE:
            return None
        pieces: list[Block] = []
        for head, element in self._parts:
            if not isinstance(element, BufferElement):
                return None
            pieces += head, element.view, self._end_part
        for view in pieces[1::3]:
            self._digest.update(view)
        return b"".join((*pieces, self._ending()))

    async def body(self) -> AsyncGenerator[tuple[Block, bool], None]:
        """Yield the bytes, once: blocks, and with each whether more will come."""
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
        yield bytes(small + self._ending()), False

    def _ending(self) -> bytes:
        """Return the hashes part, since all else has been hashed."""
        self.output_hash = self._digest.hexdigest()
        hashes = f"{self._input_hash}:{self.output_hash}".encode()
        return self._hashes_head + hashes + self._end_part + self._finish

    async def _buffer(self, element: BufferElement) -> AsyncGenerator[Block, None]:
        """Yield it whole, and hash it in one go beside the sending."""
        hashing = asyncio.ensure_future(self._run(self._digest.update, element.view))
        yield element.view
        await hashing

    async def _blocks(self, element: Element) -> AsyncGenerator[Block, None]:
        """Read one block ahead; hash where it is read."""
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
        block: Block | None = guarded(next, blocks, None)  # what fails here is what the model gave
        if block is not None:
            self._digest.update(block)
        return block


def sending_bytes(send: Send) -> Send:
    """`send`, for messages whose body is a view: it makes `bytes` of it, which is what ASGI allows.

    uvicorn's own `send` takes a view too, and is given back as it is: no block is copied for it.
    """
    if cycle_of(send) is not None:
        return send

    async def send_bytes(message: Message) -> None:
        await send({**message, "body": bytes(message["body"])} if "body" in message else message)

    return send_bytes


def _header(name: str, media_type: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Content-Disposition", f'form-data; name="{name}"; filename="{name}"'),
        ("Content-Type", media_type),
    )


_JSON = _header("json-body", "application/json")
_HASHES = _header("hashes", "text/plain")


def _see_exception(job: asyncio.Future[Any]) -> None:
    """Look at a block's exception, since nobody waits for it any more."""
    if not job.cancelled():
        job.exception()
