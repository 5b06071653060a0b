"""Multipart messages made and read back without the product's code.

`reply_bytes` spells an answer out from the contract, byte for byte; `decoded` reads one with the standard
library's `email`, which knows nothing of this project.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from email import message_from_bytes
from email.message import Message
from typing import Any

from tests.harness.raw import Answer

PROBLEM_KEYS = {"type", "title", "status", "detail", "request_id"}
RELATED = re.compile(r"multipart/related; boundary=([0-9A-Za-z_-]{1,70})")
"""The Content-Type of an answer: the boundary is a plain token that needs no quotes."""


def part(body: bytes, *headers: bytes) -> bytes:
    """A part as it stands between two delimiters; headers come as whole lines without their CRLF."""
    return b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def message(*parts: bytes, boundary: bytes = b"bnd") -> bytes:
    """A whole multipart body."""
    delimiter = b"\r\n--" + boundary
    return delimiter[2:] + delimiter.join(b"\r\n" + each for each in parts) + delimiter + b"--\r\n"


def digest(*bodies: bytes) -> str:
    """SHA-256, in hex, over bodies one after the other."""
    return hashlib.sha256(b"".join(bodies)).hexdigest()


def reply_bytes(token: str, value: Any, elements: Sequence[tuple[str, bytes]], input_hash: str) -> bytes:
    """The body of an answer as the contract spells it; an element is (media type, bytes)."""
    text = json.dumps(value).encode()
    output_hash = digest(text, *(body for _, body in elements))
    parts = [_named("json-body", "application/json", text)]
    parts += [_named(f"elem_{i}", kind, body) for i, (kind, body) in enumerate(elements)]
    parts.append(_named("hashes", "text/plain", f"{input_hash}:{output_hash}".encode()))
    return message(*parts, boundary=token.encode())


def _named(name: str, kind: str, body: bytes) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{name}"'
    return part(body, disposition.encode(), f"Content-Type: {kind}".encode())


def check_reply(
    answer: Answer | None, value: Any, elements: Sequence[tuple[str, bytes]], input_hash: str
) -> str:
    """Hold a whole answer against the contract, byte for byte; returns its boundary."""
    assert answer is not None, "no answer"
    assert answer.status == 200, f"{answer.status}: {answer.body[:300]!r}"
    assert answer.whole, "the answer was cut"
    match = RELATED.fullmatch(answer.header("content-type") or "")
    assert match, answer.header("content-type")
    expected = reply_bytes(match[1], value, elements, input_hash)
    assert_same(answer.body, expected)
    return match[1]


def assert_same(got: bytes, expected: bytes) -> None:
    """Compare long bytes; pytest's own diff of megabytes helps nobody and takes minutes."""
    if got == expected:
        return
    shorter = min(len(got), len(expected))
    at = next((i for i in range(shorter) if got[i] != expected[i]), shorter)
    raise AssertionError(
        f"{len(got)} bytes where {len(expected)} were expected; they differ from byte {at} on: "
        f"{got[at : at + 80]!r} and {expected[at : at + 80]!r}"
    )


def decoded(answer: Answer) -> list[tuple[str | None, str, bytes]]:
    """The parts of an answer as the standard library reads them: (name, media type, body)."""
    head = f"MIME-Version: 1.0\r\nContent-Type: {answer.header('content-type')}\r\n\r\n"
    whole = message_from_bytes(head.encode() + answer.body)
    assert not whole.defects
    parts = whole.get_payload()
    assert isinstance(parts, list)
    return [_read(each) for each in parts if isinstance(each, Message)]


def _read(each: Message) -> tuple[str | None, str, bytes]:
    body = each.get_payload(decode=True)
    assert isinstance(body, bytes)
    name = each.get_param("name", header="content-disposition")
    return (name if isinstance(name, str) else None), each.get_content_type(), body


def check_problem(answer: Answer | None, statuses: int | Sequence[int]) -> dict[str, Any]:
    """Hold an answer against RFC 9457 and the contract; returns what it says."""
    assert answer is not None, "no answer"
    allowed = (statuses,) if isinstance(statuses, int) else tuple(statuses)
    assert answer.status in allowed, f"{answer.status}: {answer.body[:300]!r}"
    assert answer.whole, "the answer was cut"
    assert answer.header("content-type") == "application/problem+json"
    problem = json.loads(answer.body)
    assert isinstance(problem, dict)
    assert problem.keys() == PROBLEM_KEYS
    assert problem["status"] == answer.status
    for key in PROBLEM_KEYS - {"status"}:
        assert isinstance(problem[key], str), f"{key} is no text"
        assert problem[key].strip(), f"{key} is empty"
    assert answer.header("x-request-id") == problem["request_id"]
    assert "\n" not in problem["detail"], "detail is more than a sentence"
    assert b"Traceback" not in answer.body
    return problem
