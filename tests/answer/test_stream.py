"""The answer's framing, hashes and length."""

import asyncio
import hashlib
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from inference_gateway import Gateway, Settings
from inference_gateway.answer.stream import ResponseStream
from inference_gateway.execution.check import Contract, prepare
from inference_gateway.payload.contract import BINARY_TYPES
from inference_gateway.payload.element import BLOCK
from tests.conftest import Serve
from tests.harness.asgi import app_thread
from tests.harness.raw import exchange
from tests.harness.results import (
    CONTRACT,
    INPUT_HASH,
    LARGE,
    TEMP,
    TOKEN,
    TYPES,
    described,
    prepared,
    streamed,
)
from tests.harness.server import plain_server
from tests.harness.serving import POST, TYPE, check_ok
from tests.harness.waiting import until
from tests.harness.wire import assert_same, message, part, reply_bytes


class TestFraming:
    @pytest.mark.wire(
        "response: framing byte for byte",
        "response: output_hash",
        "response: Content-Length when sizes are known",
        "response: application/binary types",
        "response: application/dicom types",
        "response: registered types",
    )
    @pytest.mark.parametrize("sizes", [[], [0], [1], [3, 0, 70_000, len(LARGE), 65_536, 65_537, 1]])
    async def test_byte_for_byte(self, sizes: list[int]) -> None:
        types = [list(TYPES)[index % len(TYPES)] for index in range(len(sizes))]
        elements = [LARGE[:size] for size in sizes]
        value = described(*types)
        sent = await streamed(prepare((value, elements), CONTRACT))
        expected = [(TYPES[name], element) for name, element in zip(types, elements, strict=True)]
        assert_same(sent.body, reply_bytes(TOKEN, value, expected, INPUT_HASH))
        assert sent.content_length == len(sent.body)
        assert sent.ended
        output = hashlib.sha256(json.dumps(value).encode() + b"".join(elements)).hexdigest()
        assert sent.stream.output_hash == output

    @pytest.mark.parametrize("name", BINARY_TYPES)
    def test_media_types(self, name: str) -> None:
        ready = prepare((described(name), [b""]), Contract(BINARY_TYPES, TEMP))
        kind = "application/dicom" if name.startswith("dicom") else "application/binary"
        assert [media_type for media_type, _ in ready.elements] == [kind]

    def test_the_eight_types_of_the_contract(self) -> None:
        assert set(BINARY_TYPES) == {
            *("probability_mask", "heatmap", "numeric_label_mask", "boolean_mask"),
            *("dicom", "dicom_secondary_capture", "dicom_structured_report", "dicom_gsps"),
        }

    @pytest.mark.wire("response: chunked otherwise")
    async def test_a_length_is_told_only_where_every_size_is_known(self) -> None:
        sent = await streamed(prepared(b"one", iter([b"t", b"wo"]), b"three"))
        assert sent.content_length is None
        elements = [("application/binary", body) for body in (b"one", b"two", b"three")]
        assert_same(sent.body, reply_bytes(TOKEN, described(*["heatmap"] * 3), elements, INPUT_HASH))

    async def test_there_is_no_output_hash_before_the_end(self) -> None:
        stream = ResponseStream(prepared(LARGE), TOKEN, INPUT_HASH, asyncio.to_thread, asyncio.to_thread)
        async for _, more in stream.body():
            assert (stream.output_hash is None) == more

    async def test_large_json(self) -> None:
        value = {"k": ["x" * 100] * 20_000}
        sent = await streamed(prepare(value, CONTRACT))
        assert_same(sent.body, reply_bytes(TOKEN, value, [], INPUT_HASH))
        assert sent.content_length == len(sent.body)
        assert max(map(len, sent.blocks)) <= BLOCK

    async def test_no_block_is_larger_than_a_block(self) -> None:
        large = np.zeros((3, BLOCK + 1), np.uint8)
        file = io.BytesIO(large.tobytes())
        sent = await streamed(prepared(large, large.T, file, iter([large.tobytes()]), *[b"x" * 60_000] * 40))
        assert max(map(len, sent.blocks)) <= BLOCK
        assert len(sent.body) > 4 * large.nbytes

    async def test_many_small_elements_go_out_together(self) -> None:
        sent = await streamed(prepared(*[b"x" * 10] * 1000))
        assert len(sent.blocks) <= 10
        assert all(sent.blocks)


ELEMENTS: list[Callable[[], Any]] = [
    lambda: np.ones(3_000_000, np.uint8),
    lambda: bytes(3_000_000),
    lambda: bytearray(70_000),
    lambda: io.BytesIO(bytes(3_000_000)),
    lambda: iter([bytes(100), bytearray(3_000_000), memoryview(bytes(70_000))]),
]


def large(json_input: Any, inputs: Any, input_hash: str) -> Any:
    return described(*["heatmap"] * len(ELEMENTS)), [make() for make in ELEMENTS]


def gateway(spool_dir: Path) -> Gateway:
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", large)
    return app


def test_a_server_that_takes_bytes_only_gets_bytes(spool_dir: Path) -> None:
    """One that pickles its messages for another process; daphne looks at the type, as ASGI allows."""
    app = gateway(spool_dir)

    async def pickling(scope: Scope, receive: Receive, send: Send) -> None:
        async def pickled(message: Message) -> None:
            assert type(message.get("body", b"")) is bytes
            await send(pickle.loads(pickle.dumps(message)))

        await app(scope, receive, pickled if scope["type"] == "http" else send)

    with app_thread(pickling) as running:
        until(lambda: running.post(TYPE, [message(part(b"1"))]).status != 503, "a model that is set up")
        answer = running.post(TYPE, [message(part(b"1"))])
    assert len(check_ok(answer).body) > 9_000_000


def test_uvicorn_gets_views(serve: Serve, spool_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes them, and nothing large is copied for it."""
    longest = 0
    send = RequestResponseCycle.send

    async def noted(self: RequestResponseCycle, message: Any) -> None:
        nonlocal longest
        body = message.get("body", b"")
        if type(body) is bytes:
            longest = max(longest, len(body))
        await send(self, message)

    monkeypatch.setattr(RequestResponseCycle, "send", noted)
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", lambda *_: (described("heatmap"), [np.ones(3_000_000, np.uint8)]))
    answer = exchange(serve(app, plain_server(app)).address, POST)
    assert len(check_ok(answer).body) > 3_000_000
    assert longest < 2000
