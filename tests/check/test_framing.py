"""Each fault in the bytes of an answer is found, and nothing else is but what follows from it."""

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from requests_toolbelt.multipart.decoder import MultipartDecoder
from starlette.types import Scope

from inference_gateway.check import content, framing
from inference_gateway.check.verdict import Verdict
from tests.check.faulty import (
    Reply,
    Rewrite,
    element,
    failing,
    findings,
    parts_of,
    to_answers,
    to_body,
    token,
    url_of,
    with_parts,
)
from tests.harness.old_gateway import mock_server, serving_old
from tests.harness.wire import digest, reply_bytes

DISPOSITION = b'Content-Disposition: form-data; name="elem_0"; filename="elem_0"'
ARRAY, DICOM = b"Content-Type: application/binary", b"Content-Type: application/dicom"


def renamed(name: Callable[[bytes], bytes]) -> Rewrite:
    """Another boundary, in the header and in the body."""

    def change(reply: Reply) -> Reply:
        old, new = token(reply), name(token(reply))
        body = reply.body.replace(b"--" + old, b"--" + new)
        return replace(reply, body=body).with_header(b"content-type", b"multipart/related; boundary=" + new)

    return to_answers(change)


def renamed_as_asked(scope: Scope, reply: Reply) -> Reply:
    asked = re.search(rb'boundary="(.+)"', dict(scope["headers"]).get(b"content-type", b""))
    return renamed(lambda old: asked[1] if asked else old)(scope, reply)


def with_end(end: bytes) -> Rewrite:
    """Something else than the close delimiter."""
    return to_answers(
        lambda reply: replace(
            reply,
            body=reply.body.removesuffix(b"--" + token(reply) + b"--\r\n") + end.replace(b"T", token(reply)),
        )
    )


def with_hashes(change: Callable[[bytes], bytes]) -> Rewrite:
    def rewrite(reply: Reply) -> Reply:
        *parts, hashes = parts_of(reply)
        _, _, value = hashes.partition(b"\r\n\r\n")
        body = with_parts(reply, [*parts, hashes]).body
        assert body == reply.body, "the parts are put together as they were"
        return replace(reply, body=body.replace(value, change(value)))

    return to_answers(rewrite)


def with_json(old: bytes, new: bytes) -> Rewrite:
    """Other JSON, of which the gateway itself would not take every one, and the hash that goes with it."""

    def change(reply: Reply) -> Reply:
        root, *rest = parts_of(reply)
        assert old in root
        return with_parts(reply, [root.replace(old, new), *rest])

    return to_answers(change)


def swapped(value: bytes) -> bytes:
    one, _, other = value.partition(b":")
    return other + b":" + one


AREA = (*framing.CHECKS, *content.CHECKS)
"""The checks that such a fault could make fail."""

FAULTS: dict[str, tuple[Rewrite, set[str]]] = {
    "another status": (to_answers(lambda reply: replace(reply, status=500)), {"inference"}),
    "multipart/form-data": (
        to_answers(
            lambda reply: reply.with_header(b"content-type", b"multipart/form-data; boundary=" + token(reply))
        ),
        {"inference", "boundary"},
    ),
    "a cut answer": (
        to_answers(lambda reply: replace(reply, body=reply.body[:-30], cut=True)),
        {"transfer", "framing", "commit-mark"},
    ),
    "a boundary in Python's repr": (renamed(lambda old: b"b'" + old + b"'"), {"boundary"}),
    "a boundary in quotes": (
        to_answers(
            lambda reply: reply.with_header(
                b"content-type", b'multipart/related; boundary="' + token(reply) + b'"'
            )
        ),
        {"boundary"},
    ),
    "a boundary that is not in the header": (
        to_answers(lambda reply: reply.with_header(b"content-type", b"multipart/related")),
        {"boundary", "framing"},
    ),
    "a boundary that is the request's": (renamed_as_asked, {"boundary"}),
    "no close delimiter": (with_end(b""), {"framing", "commit-mark"}),
    "no CRLF after the close delimiter": (with_end(b"--T--"), {"framing"}),
    "text after the close delimiter": (with_end(b"--T--\r\nbye"), {"framing"}),
    "an empty line before the first delimiter": (
        to_answers(lambda reply: replace(reply, body=b"\r\n" + reply.body)),
        {"framing"},
    ),
    "blanks after a delimiter": (
        to_answers(
            lambda reply: replace(
                reply, body=reply.body.replace(token(reply) + b"\r\n", token(reply) + b" \r\n", 2)
            )
        ),
        {"framing"},
    ),
    "headers in another order": (
        to_body(DISPOSITION + b"\r\n" + ARRAY, ARRAY + b"\r\n" + DISPOSITION, 1),
        {"part-headers"},
    ),
    "headers in small letters": (to_body(ARRAY, ARRAY.lower(), 1), {"part-headers"}),
    "one more header": (to_body(ARRAY, ARRAY + b"\r\nContent-Length: 20480", 1), {"part-headers"}),
    "a name without a filename": (
        to_body(DISPOSITION, DISPOSITION.partition(b"; filename")[0]),
        {"part-headers"},
    ),
    "elements counted from 1": (to_body(DISPOSITION, DISPOSITION.replace(b"0", b"1")), {"part-names"}),
    "another media type": (to_body(ARRAY, b"Content-Type: application/octet-stream", 1), {"media-types"}),
    "DICOM as an array": (to_body(DICOM, ARRAY), {"media-types"}),
    "JSON without blanks": (with_json(b'": ', b'":'), {"json"}),
    "no JSON": (with_json(b"{", b"<"), {"json"}),
    "JSON that is no object": (with_json(b'{"protocol_version', b'[{"protocol_version'), {"json"}),
    "no binary_type": (with_json(b'"binary_type": "boolean_mask", ', b""), {"binary-types"}),
    "a binary_type of nobody": (with_json(b"boolean_mask", b"boolean"), {"binary-types"}),
    "parts that are no list": (
        with_json(b'"parts": ', b'"parts": 1, "were": '),
        {"element-count"},
    ),
    "no hashes": (
        to_answers(lambda reply: with_parts(reply, parts_of(reply)[:-1])),
        {"commit-mark", "part-names"},
    ),
    "hashes swapped": (with_hashes(swapped), {"input-hash", "output-hash"}),
    "hashes in capitals": (with_hashes(bytes.upper), {"commit-mark", "input-hash", "output-hash"}),
    "another input hash": (with_hashes(lambda value: b"0" * 64 + value[64:]), {"input-hash"}),
    "another output hash": (with_hashes(lambda value: value[:65] + b"0" * 64), {"output-hash"}),
    "an element too many": (
        to_answers(
            lambda reply: with_parts(reply, [*parts_of(reply)[:-1], element(b"elem_5"), parts_of(reply)[-1]])
        ),
        {"element-count"},
    ),
    "an element too few": (
        to_answers(lambda reply: with_parts(reply, [*parts_of(reply)[:-2], parts_of(reply)[-1]])),
        {"element-count"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.slow
def test_fault(fault: str, spool_dir: Path) -> None:
    rewrite, expected = FAULTS[fault]
    assert failing(spool_dir, rewrite=rewrite, checks=AREA) == expected


class UntoldHandler(BaseHTTPRequestHandler):
    """HTTP/1.0: neither a length nor chunks; the end of the connection is the end."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = MultipartDecoder(body, self.headers["Content-Type"]).parts
        input_hash = digest(*(each.content for each in parts))
        self.send_response(200)
        self.send_header("Content-Type", "multipart/related; boundary=T")
        self.end_headers()
        self.wfile.write(reply_bytes("T", {"protocol_version": "1.0", "parts": []}, [], input_hash))

    def log_message(self, *arguments: object) -> None:
        """No log."""


def test_an_answer_whose_length_nobody_tells() -> None:
    with HTTPServer(("127.0.0.1", 0), UntoldHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        found = findings(url_of(("127.0.0.1", server.server_port)), framing.CHECKS)
        thread.join(30)
    assert [each.check for each in found if each.verdict is not Verdict.PASS] == ["transfer"]


@pytest.mark.parametrize("old", [True, False])
def test_the_old_gateway_hashes_an_empty_element_as_one_nul(old: bool) -> None:
    answer = {"protocol_version": "1.0", "parts": [{"binary_type": "dicom"}]}
    with serving_old(mock_server(lambda *request: (answer, [b""]))) as running:
        (found,) = findings(running.url, [framing.output_hash], old=old)
    assert found.verdict is (Verdict.DIFFERS if old else Verdict.FAIL)
    assert "a NUL where an element is empty" in found.detail
