"""The stand-in for the old gateway answers as that one did, byte for byte and accident for accident."""

import re
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from requests_toolbelt.multipart.decoder import MultipartDecoder

from tests.harness.old_gateway import OldModel, mock_server, old_request, serving_old
from tests.harness.raw import Answer, exchange, request
from tests.harness.wire import digest, message, part

MASK = np.arange(6, dtype=np.uint8).reshape(2, 3)
TWO = [{"binary_type": "heatmap"}, {"binary_type": "dicom"}]


def answers(parts: list[dict[str, Any]], elements: Iterable[Any]) -> OldModel:
    def model(asked: Any, inputs: list[BytesIO], input_hash: str) -> tuple[dict[str, Any], Iterable[Any]]:
        return {"asked": asked, "sizes": [len(each.getvalue()) for each in inputs], "parts": parts}, elements

    return model


def ask(model: OldModel, content_type: str, body: bytes) -> Answer:
    with serving_old(mock_server(model)) as running:
        answer = exchange(running.address, request(((b"Content-Type", content_type.encode()),), body))
    assert answer is not None
    assert answer.whole
    return answer


def test_frames_the_answer_with_the_repr_of_the_boundary() -> None:
    body = message(part(b'{"a": 1}', b"Content-Type: text/json"), part(b"xyz"), boundary=b"theirs")
    answer = ask(answers(TWO, [MASK, b"DICM"]), "multipart/related; boundary=theirs", body)
    assert answer.status == 200
    assert answer.header("content-type") == "multipart/related; boundary=b'theirs'"
    text = (
        b'{"asked": {"a": 1}, "sizes": [3], "parts": [{"binary_type": "heatmap"}, {"binary_type": "dicom"}]}'
    )
    hashes = ":".join([digest(b'{"a": 1}', b"xyz"), digest(text, MASK.tobytes(), b"DICM")]).encode()
    assert answer.body == b"".join(
        b"--b'theirs'\r\n"
        b'Content-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: %s\r\n\r\n%s\r\n'
        % (name, name, kind, data)
        for name, kind, data in (
            (b"json-body", b"application/json", text),
            (b"elem_0", b"application/binary", MASK.tobytes()),
            (b"elem_1", b"application/dicom", b"DICM"),
            (b"hashes", b"text/plain", hashes),
        )
    ) + (b"--b'theirs'--\r\n")


def test_old_client_reads_it() -> None:
    """What the old test tool sends comes in, and what it does with the answer works."""
    content_type, body = old_request({"studyUID": "1.2"}, {"a.dcm": b"first", "b.dcm": b"second"})
    assert re.fullmatch(r'multipart/related; boundary="[0-9a-f]{32}"', content_type)
    answer = ask(answers([TWO[0]], [MASK]), content_type, body)
    read = MultipartDecoder(answer.body, answer.header("content-type"))
    assert read.parts[0].text.startswith('{"asked": {"studyUID": "1.2"}, "sizes": [5, 6], ')
    assert read.parts[1].content == MASK.tobytes()
    assert read.parts[2].text.startswith(digest(b'{"studyUID": "1.2"}', b"first", b"second") + ":")


@pytest.mark.parametrize(
    ("parts", "elements", "kinds"),
    [
        (TWO[:1], [MASK, MASK], [b"application/binary"]),
        (TWO, [MASK], [b"application/binary"]),
        ([TWO[0], {}], [MASK, MASK], [b"application/binary", b"application/binary"]),
    ],
    ids=["more elements than parts", "fewer", "no binary_type"],
)
def test_accidents_with_elements(
    parts: list[dict[str, Any]], elements: list[Any], kinds: list[bytes]
) -> None:
    answer = ask(answers(parts, elements), *old_request({}, {}))
    read = MultipartDecoder(answer.body, answer.header("content-type"))
    assert [each.headers[b"Content-Type"] for each in read.parts[1:-1]] == kinds


def test_empty_bytes_are_hashed_as_one_nul() -> None:
    answer = ask(answers([TWO[1]], [b""]), *old_request({}, {}))
    read = MultipartDecoder(answer.body, answer.header("content-type"))
    assert read.parts[1].content == b""
    assert read.parts[-1].text.endswith(digest(read.parts[0].content, b"\0"))


@pytest.mark.parametrize(
    ("content_type", "body", "status", "says"),
    [
        ("text/plain", b"{}", 400, b"invalid content-type text/plain"),
        ("multipart/related; boundary=bnd", b"nothing", 500, b"internal server error"),
        ("multipart/related; boundary=bnd", message(part(b"no json")), 500, b"internal server error"),
    ],
)
def test_errors_are_plain_text(content_type: str, body: bytes, status: int, says: bytes) -> None:
    answer = ask(answers([], []), content_type, body)
    assert (answer.status, answer.body) == (status, says)
    assert answer.header("content-type") == "text/html; charset=utf-8"


def test_probes() -> None:
    with serving_old(mock_server(answers([], []), health="NOT YET")) as running:
        for method in (b"GET", b"POST"):
            pong = exchange(running.address, request((), b"", method=method, target=b"/ping"))
            health = exchange(running.address, request((), b"", method=method, target=b"/healthcheck"))
            assert pong is not None
            assert health is not None
            assert (pong.status, pong.body) == (200, b"inference-service is up and accepting connections")
            assert (health.status, health.body) == (200, b"NOT YET")


def test_route_is_added_once() -> None:
    app = mock_server(answers([], []))
    with pytest.raises(ValueError, match="Route / already maps"):
        app.add_inference_route("/", answers([], []))
