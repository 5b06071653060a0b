"""Bodies put together without a socket."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Settings
from inference_gateway.errors import RequestError
from inference_gateway.intake.assembler import InferenceRequest, RequestAssembler
from inference_gateway.intake.header import RequestType
from inference_gateway.payload.spool import Spool
from inference_gateway.payload.spool_budget import SpoolBudget

TEMP = Path(tempfile.gettempdir())
RELATED = "multipart/related; boundary=bnd"
ROOT = b'{"k": 1}'
_settings = cache(Settings)  # looking through the environment costs more than a small body
in_both = pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])


def assembler(
    content_type: str = RELATED, *, in_file: bool = False, budget: SpoolBudget | None = None, **options: Any
) -> RequestAssembler:
    spool = Spool(TEMP, 0 if in_file else 64 << 20, budget)
    return RequestAssembler(RequestType.parse([content_type]), spool, _settings(**options))


@contextmanager
def assembled(wire: bytes, content_type: str = RELATED, **options: Any) -> Iterator[InferenceRequest]:
    """The request that a body makes, until the end of the block."""
    whole = assembler(content_type, **options)
    try:
        whole.feed(bytearray(wire))
        yield whole.finish()
    finally:
        whole.spool.release()


def outcome(pieces: list[bytes], content_type: str = RELATED, **options: Any) -> Any:
    """All that a body comes to: what the model would get, or the error's class and sentence."""
    one = assembler(content_type, **options)
    try:
        for piece in pieces:
            one.feed(bytearray(piece))
        request = one.finish()
        parts = [(each.headers.fields, each.read()) for each in request.inputs]
        return request.json_input, parts, request.input_hash
    except RequestError as error:
        return type(error), error.detail
    finally:
        one.spool.release()


LINES = random.Random(2)
TEXT = b"".join(
    LINES.randbytes(size).replace(b"\n", b" ") + b"\n" for size in (0, 1, 50, 8191, 8192, 8193, 20_000)
)
