"""The request: as the contract spells it, of the length that was said, the same each time."""

import io
import json
import re
import threading
from email import message_from_bytes
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway.client.inputs import Input
from inference_gateway.client.upload import Progress, Upload
from inference_gateway.multipart import Decoder, Headers, PartBegin, PartData
from tests.harness.wire import digest

MESSAGE = 1 << 20
LIMIT = 30.0


def parts_of(body: bytes, content_type: str) -> list[tuple[str, str, bytes]]:
    """Disposition, media type and body of each part, as the standard library reads them."""
    whole = message_from_bytes(f"MIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n".encode() + body)
    assert not whole.defects
    parts: Any = whole.get_payload()
    return [
        (part["content-disposition"], part["content-type"], part.get_payload(decode=True)) for part in parts
    ]


def test_it_is_one_multipart_message() -> None:
    inputs: list[Input] = [b"one", ("n.dcm", "application/dicom", b""), np.arange(3, dtype=np.uint8)]
    upload = Upload({"k": "ä"}, inputs)
    body = b"".join(upload.blocks())
    assert len(body) == upload.total == int(upload.headers["Content-Length"])
    text = json.dumps({"k": "ä"}).encode()
    assert parts_of(body, upload.headers["Content-Type"]) == [
        ('form-data; name="request_json"', "application/json", text),
        ('form-data; name="input_0"', "application/octet-stream", b"one"),
        ('form-data; name="input_1"; filename="n.dcm"', "application/dicom", b""),
        ('form-data; name="input_2"', "application/octet-stream", b"\0\1\2"),
    ]
    assert upload.input_hash == digest(text, b"one", b"\0\1\2")


def test_boundaries_are_random_tokens() -> None:
    boundaries = {Upload(1, []).headers["Content-Type"] for _ in range(20)}
    assert len(boundaries) == 20
    assert all(re.fullmatch("multipart/related; boundary=[0-9a-f]{32}", each) for each in boundaries)


def test_it_can_be_sent_again() -> None:
    """For a retry, or for authentication; also where the first time was given up."""
    upload = Upload(1, [bytes(3 * MESSAGE), b"x"])
    next(upload.blocks())
    first = b"".join(upload.blocks())
    first_hash = upload.input_hash
    assert b"".join(upload.blocks()) == first
    assert upload.input_hash == first_hash


def test_small_parts_go_together_and_large_ones_in_blocks() -> None:
    upload = Upload(1, [b"small"] * 1000)
    sizes = [len(block) for block in upload.blocks()]
    assert len(sizes) < 5
    assert max(sizes) <= 65 << 10
    upload = Upload(1, [bytes(3 * MESSAGE + 1)])
    sizes = [len(block) for block in upload.blocks()]
    assert max(sizes) == MESSAGE
    assert sum(sizes) == upload.total


def test_names_of_any_form_arrive() -> None:
    name = 'Jörg "x" \\ 雪.dcm'
    upload = Upload(1, [(name, "application/dicom", b"x")])
    decoder = Decoder(upload.headers["Content-Type"].partition("=")[2].encode())
    headers = [
        event.headers for event in decoder.receive(b"".join(upload.blocks())) if isinstance(event, PartBegin)
    ]
    assert isinstance(headers[1], Headers)
    quoted = headers[1]["content-disposition"].partition("filename=")[2]
    assert quoted == '"Jörg \\"x\\" \\\\ 雪.dcm"'


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("a\r\nX: y", None), ("a\0", None), ("\ud800", None), ("a", "x\r\ny"), ("a", " text/plain")],
)
def test_names_that_no_header_may_have(name: str, content_type: str | None) -> None:
    with pytest.raises(ValueError, match="input 1"):
        Upload(1, [b"", (name, content_type, b"x")])


def test_json_that_is_none() -> None:
    with pytest.raises(TypeError, match="set"):
        Upload({1, 2}, [])


@pytest.mark.parametrize("size", [0, 3, 5, 2 * MESSAGE])
def test_a_file_that_changes_its_size(tmp_path: Path, size: int) -> None:
    """Longer: what was said is sent. Shorter: the rest cannot be."""
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    upload = Upload(1, [path])
    path.write_bytes(bytes(size))
    if size < 4:
        with pytest.raises(ValueError, match="input 0 has changed its size"):
            list(upload.blocks())
    else:
        assert len(b"".join(upload.blocks())) == upload.total


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    upload = Upload(1, [path])
    path.unlink()
    with pytest.raises(FileNotFoundError):
        list(upload.blocks())


def test_closing_closes_the_file_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * MESSAGE))
    upload = Upload(1, [path])
    blocks = upload.blocks()
    next(blocks)
    next(blocks)
    upload.close()
    with pytest.raises(StopIteration):
        next(blocks)


class SlowFile(io.BytesIO):
    """Reading waits until it may go on."""

    def __init__(self) -> None:
        super().__init__(bytes(MESSAGE))
        self.begun, self.go = threading.Event(), threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        if size:
            self.begun.set()
            assert self.go.wait(LIMIT)
        return super().read(size)


def test_closing_while_a_thread_reads() -> None:
    """A call that is cancelled does not wait for its thread, and the thread ends in peace."""
    file = SlowFile()
    upload = Upload(1, [file])
    blocks: list[bytes] = []
    thread = threading.Thread(target=lambda: blocks.extend(upload.blocks()))
    thread.start()
    assert file.begun.wait(LIMIT)
    upload.close()
    assert thread.is_alive()
    file.go.set()
    thread.join(LIMIT)
    assert sum(map(len, blocks)) == upload.total


def test_progress_counts_inputs() -> None:
    upload = Upload(1, [bytes(MESSAGE), b"", bytes(MESSAGE)])
    seen = []
    sent = 0
    for block in upload.blocks():
        sent += len(block)
        seen.append(upload.progress(sent, 0, None))
    seen.append(upload.progress(sent, 7, 9))
    assert seen[0].files_sent == 0
    assert sorted(each.files_sent for each in seen) == [each.files_sent for each in seen]
    assert seen[-1] == Progress(upload.total, upload.total, 3, 3, 7, 9)


def test_no_body_contains_the_boundary_by_chance() -> None:
    """The decoder reads back what was written, with bodies full of what looks like delimiters."""
    data = b"\r\n--" * 1000 + b"\r\n--0123456789abcdef--\r\n"
    upload = Upload(data.decode(), [data, data])
    decoder = Decoder(upload.headers["Content-Type"].partition("=")[2].encode())
    bodies: list[bytearray] = []
    for block in upload.blocks():
        for event in decoder.receive(block):
            if isinstance(event, PartBegin):
                bodies.append(bytearray())
            elif isinstance(event, PartData):
                bodies[-1] += event.data
    decoder.finish()
    assert bodies == [json.dumps(data.decode()).encode(), data, data]
