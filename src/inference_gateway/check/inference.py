"""A study sent through the model, and the answer taken apart as far as it can be."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference_gateway.check.exchange import Answer, Target
from inference_gateway.check.study import Upload
from inference_gateway.errors import MultipartError
from inference_gateway.multipart import Decoder, Headers, Limits, PartEnd, parse_media_type
from inference_gateway.payload.part import Part
from inference_gateway.payload.spool import Spool

_BLOCK = 1 << 20
_MEMORY = 8 << 20
_LIMITS = Limits(parts=1_000_000, part_bytes=1 << 50)


@dataclass(frozen=True)
class Piece:
    """One part of the answer; offsets count from the first byte of the message."""

    headers: Headers
    header_offset: int
    body_offset: int
    body_end: int
    body: Part

    @property
    def name(self) -> str | None:
        """Return what its Content-Disposition calls it."""
        _, _, rest = self.headers.get("content-disposition", "").partition(' name="')
        return rest.partition('"')[0] or None


@dataclass(eq=False)
class Inference:
    """The request, the answer, and the answer's parts.

    `boundary`: of the answer, None where its Content-Type gives none. `broken`: why the message cannot be
    read, None where it can; `pieces` are those before it broke.
    """

    upload: Upload
    answer: Answer
    spool: Spool
    boundary: str | None = None
    broken: str | None = None
    pieces: list[Piece] = field(default_factory=list)

    @property
    def hashes(self) -> Piece | None:
        """Return the last part, where it is the one that says that the answer is whole."""
        last = self.pieces[-1] if self.pieces else None
        return last if last is not None and last.name == "hashes" else None

    @property
    def elements(self) -> list[Piece]:
        """Return the parts between the JSON and the hashes."""
        return self.pieces[1:-1] if self.hashes is not None else self.pieces[1:]

    def json(self) -> Any:
        """Return the value of the first part. Raises `ValueError` where it is not JSON."""
        return json.loads(self.pieces[0].body.getvalue()) if self.pieces else None

    def close(self) -> None:
        """Free what the parts are read from."""
        if not self.spool.closed:
            self.spool.release()


def infer(target: Target, route: str, upload: Upload) -> Inference:
    """Send a study and take its answer. Raises `NoAnswer` where none came.

    Memory stays constant: the answer rests in a temporary file without a name.
    """
    spool = Spool(Path(tempfile.gettempdir()), _MEMORY)
    try:
        answer = target.send("POST", route, upload.headers, upload.blocks(), sink=spool.append)
        inference = Inference(upload, answer, spool)
        _take_apart(inference)
    except BaseException:
        spool.release()
        raise
    return inference


def _take_apart(inference: Inference) -> None:
    content_type = inference.answer.header("content-type") or ""
    try:
        inference.boundary = parse_media_type(content_type).parameters.get("boundary")
    except MultipartError:
        inference.boundary = None
    if inference.boundary is None:
        inference.broken = "its Content-Type gives no boundary"
        return
    spool = inference.spool
    decoder = Decoder(inference.boundary.encode("utf-8"), _LIMITS)
    try:
        for start in range(0, spool.size, _BLOCK):
            for event in decoder.receive(spool.read(start, min(start + _BLOCK, spool.size))):
                if isinstance(event, PartEnd):
                    body = Part(spool, *event)
                    inference.pieces.append(Piece(body.headers, *event, body))
        decoder.finish()
    except MultipartError as error:
        inference.broken = error.detail
