"""Asking a running gateway: its models and its other routes, one connection for each question."""

from tests.harness.raw import Address, Answer, exchange, head, request
from tests.harness.wire import message, part

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
ROOT = b'{"k": "SECRET"}'
POST = request(TYPE, message(part(ROOT)))
PONG = b"inference-service is up and accepting connections"


def call(address: Address, path: bytes, method: bytes = b"GET", body: bytes | None = None) -> Answer:
    length = () if body is None else ((b"Content-Length", b"%d" % len(body)),)
    sent = head(length, method=method, target=path) + (body or b"")
    answer = exchange(address, sent, head_only=method == b"HEAD")
    assert answer is not None
    assert answer.whole
    return answer


def media_type(answer: Answer) -> str:
    return (answer.header("content-type") or "").partition(";")[0]


def check_plain(answer: Answer, status: int, body: bytes, method: bytes = b"GET") -> None:
    assert answer.status == status
    assert media_type(answer) == "text/plain"
    assert answer.body == (b"" if method == b"HEAD" else body)


def post(address: Address, path: bytes = b"/") -> Answer:
    answer = exchange(address, POST.replace(b"POST / ", b"POST " + path + b" "))
    assert answer is not None
    return answer
