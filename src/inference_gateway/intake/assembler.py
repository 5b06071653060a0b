"""From body bytes to what the model is called with.

`RequestAssembler` takes the body in runs and, over the same bytes, spools, decodes and hashes them; what it
keeps of a part is three offsets into the spool. `InferenceRequest` is the whole of it. Everything here
blocks: it runs beside the event loop.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from inference_gateway.errors import (
    InvalidRootPart,
    LimitExceeded,
    MalformedMultipart,
    MultipartError,
    RequestError,
    UnsupportedEncoding,
)
from inference_gateway.intake.header import RequestType
from inference_gateway.multipart import Decoder, Headers, PartBegin, PartData, PartEnd
from inference_gateway.payload.part import Part
from inference_gateway.payload.root_part import parse_json
from inference_gateway.payload.spool import Spool
from inference_gateway.settings import Settings


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
        self._is_root = False
        self._root_bytes = 0

    def finish(self) -> InferenceRequest:
        """Return the request, since the body has ended. Raises `RequestError`."""
        try:
            self._decoder.finish()
        except MultipartError as error:
            raise _refusal(error) from None
        if self._root is None:
            raise InvalidRootPart("the start parameter names no part: give it the root part's Content-ID")
        json_input = parse_json(self._root.getvalue(), self._type.charset)
        inputs = [part for part in self._parts if part is not self._root]
        return InferenceRequest(json_input, inputs, self._digest.hexdigest(), self.spool)

    def feed(self, data: bytearray) -> bool:
        """Decode, keep and hash the next bytes of the body. Raises `RequestError`.

        Returns whether `data` itself is kept.
        """
        runs = self.decode(data)
        kept = self.store(data)
        self.hash(runs)
        return kept

    def store(self, data: bytearray) -> bool:
        """Keep the next bytes of the body; return whether `data` itself is. Raises `InsufficientStorage`."""
        return self.spool.keep(data)

    def hash(self, runs: list[memoryview]) -> None:
        """Hash the next runs of part bodies."""
        for run in runs:
            self._digest.update(run)

    def decode(self, data: bytearray) -> list[memoryview]:
        """Decode the next bytes of the body; return the runs of part bodies in it. Raises `RequestError`."""
        runs = []
        try:
            for event in self._decoder.receive(data):
                match event:
                    case PartData(run):
                        runs.append(run)
                        if self._is_root:
                            self._count_root(len(run))
                    case PartBegin(headers):
                        self._begin(headers)
                    case PartEnd():
                        self._end(event)
        except MultipartError as error:
            raise _refusal(error) from None
        return runs

    def _count_root(self, size: int) -> None:
        self._root_bytes += size
        if self._root_bytes > self._max_root_bytes:
            raise LimitExceeded(f"the root part is larger than the limit of {self._max_root_bytes} bytes")

    def _begin(self, headers: Headers) -> None:
        content_id = headers.get("content-id")
        if content_id:
            # Ten thousand long ones would take memory: keep digests.
            digest = hashlib.blake2b(content_id.encode(), digest_size=16).digest()
            if digest in self._content_ids:
                raise MalformedMultipart("two parts have the same Content-ID")
            self._content_ids.add(digest)
        start = self._type.start
        self._is_root = not self._parts if start is None else content_id == start

    def _end(self, event: PartEnd) -> None:
        part = Part(self.spool, *event)
        self._parts.append(part)
        if self._is_root:
            self._root = part


_REFUSALS: dict[int, type[RequestError]] = {413: LimitExceeded, 415: UnsupportedEncoding}


def _refusal(error: MultipartError) -> RequestError:
    """Return what a server answers to a message of which the codec says this."""
    return _REFUSALS.get(error.status_hint, MalformedMultipart)(error.detail)
