"""Asking a running gateway's other routes, one connection for each question."""

from tests.harness.raw import Address, Answer, exchange, head


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
