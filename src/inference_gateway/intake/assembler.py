"""From body bytes to what the model is called with.

`RequestAssembler` takes the body in runs and, over the same bytes, spools, decodes and hashes them; what it
keeps of a part is three offsets into the spool. `InferenceRequest` is the whole of it. Everything here
blocks: it runs beside the event loop.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from inference_gateway.errors import InvalidRootPart, LimitExceeded, MalformedMultipart
from inference_gateway.multipart import Decoder, Headers, PartBegin, PartData
from inference_gateway.payload.spool import Spool

if TYPE_CHECKING:
    from inference_gateway.settings import Settings  # pydantic is no matter of the client
from inference_gateway.intake.header import RequestType
from inference_gateway.payload.part import Part
from inference_gateway.payload.root_part import parse_json


class InferenceRequest(NamedTuple):
    """A whole request. `input_hash`: SHA-256 hex over all part bodies, root included, in order of arrival."""

    json_input: Any
    inputs: list[Part]
    input_hash: str
    spool: Spool


class RequestAssembler:
    """Takes one body, run by run; `finish` gives the request. Blocks.

    Each run is to be given to `decode` and to `store`, in order; the two may go on at the same time.

    Memory: what the spool keeps in memory, and some 200 bytes for each part.
    """

    def __init__(self, request_type: RequestType, spool: Spool, settings: Settings) -> None:
        self.spool = spool
        self._type = request_type
        self._max_root_bytes = settings.max_root_bytes
        self._decoder = Decoder(request_type.boundary, settings.part_limits)
        self._digest = hashlib.sha256()
        self._parts: list[Part] = []
        self._root: Part | None = None
        self._content_ids: set[bytes] = set()
        self._begun = (0, 0)  # where the part's headers and its body begin
        self._is_root = False
        self._root_bytes = 0

    def finish(self, data: bytes | bytearray = b"") -> InferenceRequest:
        """The body ends with `data`: the request. Raises `RequestError`."""
        self.feed(data)
        self._decoder.finish()
        if self._root is None:
            raise InvalidRootPart("the start parameter names no part: give it the root part's Content-ID")
        json_input = parse_json(self._root.getvalue(), self._type.charset)
        inputs = [part for part in self._parts if part is not self._root]
        return InferenceRequest(json_input, inputs, self._digest.hexdigest(), self.spool)

    def feed(self, data: bytes | bytearray) -> None:
        """Decodes, keeps and hashes the next bytes of the body. Raises `RequestError`."""
        runs = self.decode(data)
        self.store(data)
        self.hash(runs)

    def store(self, data: bytes | bytearray) -> None:
        """Keeps the next bytes of the body. Raises `InsufficientStorage`."""
        self.spool.append(data)

    def hash(self, runs: list[memoryview]) -> None:
        """Hashes the next runs of part bodies."""
        for run in runs:
            self._digest.update(run)

    def decode(self, data: bytes | bytearray) -> list[memoryview]:
        """Decodes the next bytes of the body: the runs of part bodies in it. Raises `RequestError`."""
        runs = []
        for event in self._decoder.receive(data):
            match event:
                case PartData(run):
                    runs.append(run)
                    if self._is_root:
                        self._root_bytes += len(run)
                        if self._root_bytes > self._max_root_bytes:
                            raise LimitExceeded(
                                f"the root part is larger than the limit of {self._max_root_bytes} bytes"
                            )
                case PartBegin(headers):
                    self._begin(event, headers)
                case _:
                    self._end(event.body_end)
        return runs

    def _begin(self, event: PartBegin, headers: Headers) -> None:
        content_id = headers.get("content-id")
        if content_id:
            # Ten thousand long ones would take memory: keep digests.
            digest = hashlib.blake2b(content_id.encode(), digest_size=16).digest()
            if digest in self._content_ids:
                raise MalformedMultipart("two parts have the same Content-ID")
            self._content_ids.add(digest)
        start = self._type.start
        self._is_root = not self._parts if start is None else content_id == start
        self._begun = event.header_offset, event.body_offset

    def _end(self, body_end: int) -> None:
        part = Part(self.spool, *self._begun, body_end)
        self._parts.append(part)
        if self._is_root:
            self._root = part
