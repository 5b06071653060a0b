"""The caller's side (extra `client`): a study out, masks back, in three lines.

The same codec as the gateway's, the other way round: parts are read from disk as they are sent, and the
answer rests in a spool, so that memory stays constant. An answer is given out only when it is whole: the
hashes part has come, both hashes are right, and the message is closed.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import numpy as np
import numpy.typing as npt

from inference_gateway.errors import (
    BrokenAnswer,
    CutAnswer,
    GatewayUnreachable,
    HashMismatch,
    InvalidContentType,
    MalformedMultipart,
    Overloaded,
    ProblemAnswer,
)
from inference_gateway.multipart import (
    Decoder,
    Encoder,
    Limits,
    PartBegin,
    PartData,
    PartEnd,
    check_boundary,
    parse_media_type,
)
from inference_gateway.request import Part
from inference_gateway.spool import Spool

Input = Path | bytes | IO[bytes]
_BLOCK = 1 << 20
_SPOOL_MEMORY = 8 << 20
_LIMITS = Limits(parts=1_000_000, part_bytes=1 << 50)
_DEFAULT_TIMEOUT = httpx.Timeout(30, read=660)  # a model may take the gateway's ten minutes


@dataclass(frozen=True)
class Progress:
    """How far a call has come; bytes are those of the bodies as they go over the wire.

    The model computes while `sent == total` and `received == 0`. `answer_total` is None where the gateway
    does not say it. A call that is tried again begins again at 0.
    """

    sent: int
    total: int
    files_sent: int
    files: int
    received: int = 0
    answer_total: int | None = None


OnProgress = Callable[[Progress], object]


class ResultElement:
    """One element of an answer, with its entry of `parts`. Readable until the result is closed."""

    def __init__(self, part: Mapping[str, Any], body: Part) -> None:
        self.part = part
        self._body = body

    @property
    def content_type(self) -> str:
        """Its media type."""
        return self._body.content_type or ""

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self._body.size

    def read(self) -> bytes:
        """All its bytes."""
        return self._body.getvalue()

    def array(self, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        """Its bytes as an array of the shape that `binary_data_shape` tells, of items of `dtype`.

        The shape is (timepoints, depth, height, width), as far as they are told: a mask of one image has
        (height, width). Raises `ValueError` where the shape is missing or does not fit the size.
        """
        shape = self.part.get("binary_data_shape") or {}
        axes = [shape[axis] for axis in ("timepoints", "depth", "height", "width") if axis in shape]
        if not axes:
            raise ValueError("this element's entry of 'parts' has no binary_data_shape")
        return np.frombuffer(self._body.getbuffer(), dtype).reshape(axes)

    def save(self, path: Path) -> None:
        """Writes its bytes to `path`."""
        with path.open("wb") as file:
            self._body.seek(0)
            while block := self._body.read(_BLOCK):
                file.write(block)


@dataclass(frozen=True)
class InferenceResult:
    """A whole answer. `timings`: seconds of `upload`, `model` (until its first byte) and `download`.

    A context manager: closing it ends the reading of its elements.
    """

    json: Any
    elements: list[ResultElement]
    input_hash: str
    output_hash: str
    timings: Mapping[str, float]
    _spool: Spool

    def close(self) -> None:
        """Frees what the elements are read from."""
        if not self._spool.closed:
            self._spool.release()

    def __enter__(self) -> InferenceResult:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class InferenceClient:
    """Calls the gateway at `base_url`.

    `timeout`, `headers`, `auth`, `verify`, `cert` and more are httpx's own (`httpx.Client`). Use it as a
    context manager, or `close` it.
    """

    def __init__(self, base_url: str, **httpx_options: Any) -> None:
        httpx_options.setdefault("timeout", _DEFAULT_TIMEOUT)
        self._http = httpx.Client(base_url=base_url, **httpx_options)

    def infer(
        self,
        json_input: Any,
        inputs: Sequence[Input] = (),
        *,
        route: str = "/",
        on_progress: OnProgress | None = None,
    ) -> InferenceResult:
        """Sends one request and gives its whole answer.

        `inputs`: paths, bytes or seekable binary files (whole, from their start). `on_progress` is called
        with a `Progress` as bytes of the body go out and bytes of the answer come.

        Raises `GatewayUnreachable` where no answer comes, `ProblemAnswer` (`Overloaded` for 503) where the
        gateway refused or failed, `CutAnswer` or `HashMismatch` where what came is not a whole answer.
        """
        upload = _Upload(json_input, inputs, on_progress)
        answer: _Answer | None = None
        try:
            with self._http.stream(
                "POST", route, content=upload.stream(), headers=upload.headers
            ) as response:
                answered = time.perf_counter()
                if response.status_code != 200:
                    raise _problem(response.status_code, response.headers, response.read())
                answer = _Answer(response.headers.get("content-type", ""))
                length = response.headers.get("content-length")
                upload.answer_total = None if length is None else int(length)
                for chunk in response.iter_raw():
                    answer.feed(chunk)
                    upload.receive(len(chunk))
                return answer.finish(upload.input_hash, upload.timings(answered))
        except BaseException as error:
            if answer is not None:
                answer.spool.release()
            if not isinstance(error, httpx.TransportError):
                raise
            if answer is not None:
                raise CutAnswer("the connection ended before the answer did") from error
            raise GatewayUnreachable(f"no answer from the gateway ({type(error).__name__})") from error

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> InferenceClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class _Upload:
    """The request's body, as a stream of known length."""

    def __init__(self, json_input: Any, inputs: Sequence[Input], on_progress: OnProgress | None) -> None:
        boundary = secrets.token_hex(16)
        self._encoder = Encoder(boundary)
        self._root = json.dumps(json_input).encode()
        self._inputs = inputs
        self._on_progress = on_progress
        self._digest = hashlib.sha256()
        self._sent = self._files_sent = self._received = 0
        self.answer_total: int | None = None
        self.begun = self.ended = time.perf_counter()
        self._heads = [self._head(index) for index in range(len(inputs) + 1)]
        self.total = sum(map(len, self._heads)) + len(self._root) + sum(map(_size, inputs))
        self.total += len(self._heads) * len(self._encoder.end_part()) + len(self._encoder.finish())
        self.headers = {
            "Content-Type": f"multipart/related; boundary={boundary}",
            "Content-Length": str(self.total),
        }

    @property
    def input_hash(self) -> str:
        """SHA-256 hex over all part bodies sent."""
        return self._digest.hexdigest()

    def _head(self, index: int) -> bytes:
        name = f"input_{index - 1}" if index else "request_json"
        media_type = "application/octet-stream" if index else "application/json"
        return self._encoder.begin_part(
            [("Content-Disposition", f'form-data; name="{name}"'), ("Content-Type", media_type)]
        )

    def stream(self) -> Iterator[bytes]:
        """The bytes; counts and hashes them as they go out."""
        for index, head in enumerate(self._heads):
            yield self._count(head)
            for block in _blocks(self._inputs[index - 1]) if index else (self._root,):
                self._digest.update(block)
                yield self._count(block)
            self._files_sent = index
            yield self._count(self._encoder.end_part())
        yield self._count(self._encoder.finish())
        self.ended = time.perf_counter()

    def _count(self, block: bytes) -> bytes:
        self._sent += len(block)
        self._report()
        return block

    def receive(self, size: int) -> None:
        """So many bytes of the answer have come."""
        self._received += size
        self._report()

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    self._sent,
                    self.total,
                    self._files_sent,
                    len(self._inputs),
                    self._received,
                    self.answer_total,
                )
            )

    def timings(self, answered: float) -> dict[str, float]:
        """Seconds of each phase; the download ends now."""
        return {
            "upload": self.ended - self.begun,
            "model": answered - self.ended,
            "download": time.perf_counter() - answered,
        }


class _Answer:
    """The answer's body, decoded as it comes."""

    def __init__(self, content_type: str) -> None:
        try:
            media_type = parse_media_type(content_type)
            boundary = check_boundary(media_type.parameters.get("boundary", ""))
        except InvalidContentType as error:
            raise CutAnswer("the answer's Content-Type is not multipart/related with a boundary") from error
        self._decoder = Decoder(boundary, _LIMITS)
        self.spool = Spool(Path(tempfile.gettempdir()), _SPOOL_MEMORY)
        self._parts: list[Part] = []
        self._digest = hashlib.sha256()
        self._begun: PartBegin | None = None

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        try:
            for event in self._decoder.receive(chunk):
                self._take(event)
        except MalformedMultipart as error:
            raise CutAnswer("the answer's framing is broken") from error
        self.spool.append(chunk)

    def _take(self, event: PartBegin | PartData | PartEnd) -> None:
        match event:
            case PartBegin():
                self._begun = event
            case PartData(data):
                if self._begun is not None and not _is_hashes(self._begun):
                    self._digest.update(data)
            case PartEnd(body_end):
                assert self._begun is not None
                self._parts.append(
                    Part(self.spool, self._begun.header_offset, self._begun.body_offset, body_end)
                )

    def finish(self, input_hash: str, timings: Mapping[str, float]) -> InferenceResult:
        """The end has come: the result, if it is whole and true."""
        try:
            self._decoder.finish()
        except MalformedMultipart as error:
            raise CutAnswer("the answer ends before its close delimiter") from error
        if len(self._parts) < 2 or self._begun is None or not _is_hashes(self._begun):
            raise CutAnswer("the answer has no hashes part: it is not whole")
        root, *bodies, hashes = self._parts
        output_hash = self._digest.hexdigest()
        if hashes.getvalue() != f"{input_hash}:{output_hash}".encode():
            raise HashMismatch("the hashes in the answer are not those of what was sent and received")
        try:
            value = json.loads(root.getvalue())
        except ValueError as error:
            raise BrokenAnswer("the answer's first part is not JSON") from error
        entries = value.get("parts", []) if isinstance(value, dict) else []
        if not isinstance(entries, list) or len(entries) != len(bodies):
            raise BrokenAnswer("the answer has not one element for each entry of 'parts'")
        elements = [ResultElement(entry, body) for entry, body in zip(entries, bodies, strict=True)]
        return InferenceResult(value, elements, input_hash, output_hash, timings, self.spool)


def _is_hashes(begun: PartBegin) -> bool:
    return 'name="hashes"' in begun.headers.get("content-disposition", "")


def _size(data: Input) -> int:
    if isinstance(data, Path):
        return data.stat().st_size
    return len(data) if isinstance(data, bytes) else data.seek(0, io.SEEK_END)


def _blocks(data: Input) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
    elif isinstance(data, Path):
        with data.open("rb") as file:
            yield from iter(lambda: file.read(_BLOCK), b"")
    else:
        data.seek(0)
        yield from iter(lambda: data.read(_BLOCK), b"")


def _problem(status: int, headers: httpx.Headers, body: bytes) -> ProblemAnswer:
    try:
        document = json.loads(body)
        detail, request_id = str(document["detail"]), document.get("request_id")
    except (ValueError, KeyError, TypeError):
        detail, request_id = "the answer is not a problem document", None
    if status != 503:
        return ProblemAnswer(status, detail, request_id)
    try:
        retry_after: float | None = float(headers["retry-after"])
    except (KeyError, ValueError):
        retry_after = None
    if retry_after is not None and not math.isfinite(retry_after):
        retry_after = None
    return Overloaded(status, detail, request_id, retry_after=retry_after)
