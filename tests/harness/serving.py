"""Requests to a hardened server."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tests.harness.process import Process
from tests.harness.raw import Answer, head, request
from tests.harness.server import RunningServer
from tests.harness.wire import message, part

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
POST = request(TYPE, message(part(b"1")))
PING = head((), method=b"GET", target=b"/ping")
MESSAGE = 1 << 20


def nothing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> dict[str, int]:
    return {"size": sum(each.size for each in inputs)}


def check_ok(answer: Answer | None) -> Answer:
    assert answer is not None
    assert (answer.status, answer.whole) == (200, True), answer.body[:300]
    return answer


class Run(Protocol):
    def __call__(self, target: str, *options: str, **settings: object) -> Process: ...


class Start(Protocol):
    def __call__(self, model: Callable[..., Any] = ..., **settings: Any) -> RunningServer: ...
