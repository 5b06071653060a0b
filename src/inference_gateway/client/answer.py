"""Bytes of an answer in, a whole and true result or an error out.

The commit mark is the part named `hashes`, the last one: an answer without it, or without the close delimiter
after it, was cut.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from inference_gateway.client.result import InferenceResult, ResultElement
from inference_gateway.client.temporary import TemporarySpool
from inference_gateway.errors import (
    BrokenAnswer,
    CutAnswer,
    HashMismatch,
    InvalidRootPart,
    MultipartError,
    Overloaded,
    ProblemAnswer,
)
from inference_gateway.multipart import (
    Decoder,
    Limits,
    PartBegin,
    PartData,
    PartEnd,
    check_boundary,
    parse_media_type,
)
from inference_gateway.payload.part import Part
from inference_gateway.payload.root_part import parse_json

_LIMITS = Limits(parts=1_000_000, part_bytes=1 << 50)
_HASHES = re.compile(rb"[0-9a-f]{64}:[0-9a-f]{64}")
_PROBLEM_BYTES = 64 << 10


_COUNT = re.compile("[0-9]{1,9}")


class Answer:
    """One answer of status 200. `content_type`: its header; raises `BrokenAnswer` where it is another kind.

    Memory: 1 MiB of spool, the JSON, and some 200 bytes for each part. Blocks on the disk.
    """

    def __init__(self, content_type: str, faults: str = "") -> None:
        self._faults = int(faults) if _COUNT.fullmatch(faults) else 0
        try:
            boundary = check_boundary(parse_media_type(content_type).parameters.get("boundary", ""))
        except MultipartError as error:
            raise BrokenAnswer(
                "the answer is not multipart/related with a boundary: is this the URL of a gateway's route?"
            ) from error
        self._decoder = Decoder(boundary, _LIMITS)
        self._spool = TemporarySpool()
        self._parts: list[Part] = []
        self._digest = hashlib.sha256()
        self._at_hashes = False

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes. Raises `BrokenAnswer`, or `OSError` where they cannot be kept."""
        try:
            for event in self._decoder.receive(chunk):
                match event:
                    case PartData(data):
                        if not self._at_hashes:
                            self._digest.update(data)
                    case PartBegin():
                        self._begin(event)
                    case PartEnd():
                        self._parts.append(Part(self._spool, *event))
        except MultipartError as error:
            raise BrokenAnswer("the answer's framing is broken") from error
        self._spool.append(chunk)

    def _begin(self, event: PartBegin) -> None:
        if self._at_hashes:
            raise BrokenAnswer("the answer goes on behind its hashes")
        self._at_hashes = '; name="hashes"' in event.headers.get("content-disposition", "")

    def finish(self, input_hash: str, timings: Mapping[str, float]) -> InferenceResult:
        """Return the result, once the end has come. Raises `BrokenAnswer`, `CutAnswer` or `HashMismatch`.

        `input_hash`: of what was sent.
        """
        try:
            self._decoder.finish()
        except MultipartError as error:
            raise CutAnswer("the answer ends before its close delimiter") from error
        if not self._at_hashes or len(self._parts) < 2:
            raise CutAnswer("the answer has no hashes part: it is not whole")
        root, *bodies, hashes = self._parts
        output_hash = self._digest.hexdigest()
        _check_hashes(hashes.read(130), input_hash, output_hash)
        try:
            value = parse_json(root.getvalue(), "utf-8")
        except InvalidRootPart as error:
            raise BrokenAnswer("the answer's first part is not JSON") from error
        entries = value.get("parts", []) if isinstance(value, dict) else []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise BrokenAnswer("'parts' in the answer's JSON is not a list of objects")
        if len(entries) != len(bodies):
            raise BrokenAnswer(f"the answer has {len(bodies)} elements for {len(entries)} entries of 'parts'")
        elements = [ResultElement(entry, body) for entry, body in zip(entries, bodies, strict=True)]
        return InferenceResult(value, elements, input_hash, output_hash, timings, self._spool, self._faults)

    def close(self) -> None:
        """Frees what has come. Not to be called once there is a result."""
        self._spool.close()


def _check_hashes(told: bytes, input_hash: str, output_hash: str) -> None:
    if not _HASHES.fullmatch(told):
        raise HashMismatch("the answer's hashes part does not hold two SHA-256 hashes")
    told_input, _, told_output = told.decode().partition(":")
    if told_input != input_hash:
        raise HashMismatch("the gateway did not receive what was sent: the hashes of the input differ")
    if told_output != output_hash:
        raise HashMismatch("what came is not what the gateway sent: the hashes of the output differ")


class Refusal:
    """An answer of any other status: a problem document (RFC 9457), or what a proxy on the way says."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self._status = status
        self._headers = headers
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Keep the next bytes. Raises what `problem` gives where they are too many for such a document."""
        self._body += chunk
        if len(self._body) > _PROBLEM_BYTES:
            raise self.problem()

    def problem(self, instead: str = "the answer is not a problem document") -> ProblemAnswer:
        """Return what it says, as far as it has come; `instead`: where it says nothing."""
        try:
            document = json.loads(self._body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            document = {}
        title = _text(document.get("title")) or _phrase(self._status)
        detail = _text(document.get("detail")) or instead
        request_id = _text(document.get("request_id")) or _text(self._headers.get("x-request-id"))
        if self._status != HTTPStatus.SERVICE_UNAVAILABLE:
            kind = _text(document.get("type")) or "about:blank"
            traceback = _lines(document.get("traceback"))
            return ProblemAnswer(
                self._status, detail, request_id, title=title, type=kind, traceback=traceback
            )
        retry_after = _seconds(self._headers.get("retry-after", ""))
        return Overloaded(self._status, detail, request_id, title=title, retry_after=retry_after)


def check_encoding(status: int, headers: Mapping[str, str]) -> None:
    """Refuse an answer in another Content-Encoding than `identity`, which is what was asked for.

    A few kilobytes can be the code of gigabytes. Raises `BrokenAnswer` for a 200, else `ProblemAnswer`.
    """
    codings = {coding.strip().lower() for coding in headers.get("content-encoding", "").split(",")}
    if codings <= {"", "identity"}:
        return
    if status != HTTPStatus.OK:
        raise Refusal(status, headers).problem("its text has a Content-Encoding, which was not asked for")
    raise BrokenAnswer(
        "the answer has a Content-Encoding, which was not asked for: does a proxy compress it?"
    )


def plain(text: str) -> str:
    """Return a text that may be shown; empty where it has what a terminal would obey."""
    return text if text.isprintable() else ""


def _text(value: Any) -> str | None:
    """Return a text that may be shown: it may come from anybody, and end up in a terminal."""
    return plain(value) or None if isinstance(value, str) else None


def _lines(value: Any) -> str | None:
    """Return lines that may be shown, without what a terminal would obey."""
    if not isinstance(value, str):
        return None
    return "\n".join("".join(one for one in line if one.isprintable()) for line in value.splitlines()) or None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _seconds(retry_after: str) -> float | None:
    """Retry-After (RFC 9110 §10.2.3), seconds or a date, in seconds from now; None for what is neither."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = max(0.0, (date - datetime.now(UTC)).total_seconds())
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
