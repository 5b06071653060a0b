"""Invariant: every request gets 200 and the model its parts, or one truthful 400, 413 or 415 and no call; no
500, the same however it is cut, and nothing of it in a refusal or the log.

Input: a Content-Type value, LF, the body.
"""

from __future__ import annotations

import atexit
import re
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from tests.harness.asgi import AppThread, app_thread
from tests.harness.log import LogCapture
from tests.harness.model import RecordingModel
from tests.harness.server import left_in
from tests.harness.wire import check_problem, check_reply, digest

from fuzz.decoder import pieces
from inference_gateway import Gateway, Settings

MARKER = re.compile(rb"SECRET")


class Bench:
    """A gateway with small limits, and what it says."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.model = RecordingModel()
        self.log = stack.enter_context(LogCapture())
        settings = Settings(
            spool_dir=self.folder,
            spool_memory_bytes=64,
            max_body_bytes=20_000,
            max_parts=20,
            max_part_bytes=5000,
            max_root_bytes=1000,
            max_part_headers=4,
            max_part_header_bytes=300,
        )
        app = Gateway(settings=settings)
        app.add_inference_route("/", self.model)
        self.app: AppThread = stack.enter_context(app_thread(app))

    def ask(self, value: bytes, cut: list[bytes]) -> tuple[int, str]:
        """Sends one request and holds the answer against the invariant; (status, what it says)."""
        self.log.forget()
        answer = self.app.post(((b"Content-Type", value),), cut)
        calls = self.model.take()
        assert not self.log.tracebacks
        assert not MARKER.search(self.log.text.encode())
        if answer.status != 200:
            problem = check_problem(answer, (400, 413, 415))
            assert not calls
            assert not MARKER.search(answer.body)
            return answer.status, problem["detail"]
        (call,) = calls
        elements = [("application/binary", body) for body in call.bodies]
        value_sent = {"protocol_version": "1.0", "parts": [{"binary_type": "heatmap"} for _ in elements]}
        check_reply(answer, value_sent, elements, call.input_hash)
        return 200, digest(call.input_hash.encode(), repr(call.json_input).encode(), *call.bodies)


@cache
def bench() -> Bench:
    """Made once: starting one takes longer than a thousand requests."""
    stack = ExitStack()
    atexit.register(stack.close)
    return Bench(stack)


def check(data: bytes) -> None:
    """Holds the invariant against one input."""
    value, _, body = data.partition(b"\n")
    value = value.strip(b" \t\r")
    if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
        return  # no HTTP server hands such a value on
    whole = bench().ask(value, [body])
    assert bench().ask(value, pieces(body)) == whole
    assert left_in(bench().folder) == []
