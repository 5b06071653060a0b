"""Each request that is taken, and each word that should not be in a refusal, is found."""

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Scope

from inference_gateway.check import refusals, routes
from inference_gateway.check.exchange import Target
from inference_gateway.check.verdict import Subject, Verdict
from tests.check.faulty import STUDY, Reply, Rewrite, failing, findings, to_errors, url_of


def document(**changes: Any) -> Rewrite:
    """Other members in the problems."""

    def change(reply: Reply) -> Reply:
        problem = {**json.loads(reply.body or b"{}"), **changes}
        return replace(reply, body=json.dumps({k: v for k, v in problem.items() if v is not None}).encode())

    return to_errors(change)


def status(matches: Callable[[str, dict[str, Any]], bool], to: int) -> Rewrite:
    """Another status for the problems whose content type and document match."""

    def rewrite(scope: Scope, reply: Reply) -> Reply:
        if reply.status < 400 or scope["method"] != "POST":
            return reply
        kind = dict(scope["headers"]).get(b"content-type", b"").decode()
        problem = json.loads(reply.body)
        if not matches(kind, problem):
            return reply
        return replace(reply, status=to, body=json.dumps({**problem, "status": to}).encode())

    return rewrite


def says(*words: str) -> Callable[[str, dict[str, Any]], bool]:
    return lambda kind, problem: all(word in problem["detail"] for word in words)


def malformed(kind: str, problem: dict[str, Any]) -> bool:
    return kind.startswith("multipart/related; ") and problem["status"] == 400


def as_text(reply: Reply) -> Reply:
    return replace(reply, body=b"invalid content-type").with_header(b"content-type", b"text/plain")


def echoing(scope: Scope, reply: Reply) -> Reply:
    """The old gateway's way: the Content-Type comes back."""
    if reply.status != 400:
        return reply
    kind = dict(scope["headers"]).get(b"content-type", b"").decode()
    problem = json.loads(reply.body)
    problem["detail"] += f": {kind}"
    return replace(reply, body=json.dumps(problem).encode())


def echoing_path(scope: Scope, reply: Reply) -> Reply:
    if reply.status != 404:
        return reply
    return reply.with_header(b"x-path", scope["path"].encode())


AREA = (*routes.CHECKS, *refusals.CHECKS)
"""The checks that such a fault could make fail."""

FAULTS: dict[str, tuple[Rewrite, set[str]]] = {
    "JSON is taken": (status(lambda kind, _: kind.startswith("application/json"), 200), {"content-type"}),
    "JSON is refused with 415": (
        status(lambda kind, _: kind.startswith("application/json"), 415),
        {"content-type"},
    ),
    "other words for a bad Content-Type": (
        document(detail="go away"),
        {"content-type"},
    ),
    "multipart/related-more is taken": (
        status(lambda kind, _: kind.startswith("multipart/related-more"), 200),
        {"content-type-similar"},
    ),
    "no Content-Type is a 500": (status(lambda kind, _: not kind, 500), {"content-type-missing"}),
    "no boundary is a 500": (status(lambda kind, _: kind == "multipart/related", 500), {"boundary-missing"}),
    "a bad Content-Type is seen late": (
        status(lambda kind, _: kind.startswith("text/plain"), 200),
        {"early-type", "seen-while-sending"},
    ),
    "too much is a 400": (status(says("limit"), 400), {"early-length"}),
    "encodings are a 400": (
        lambda scope, reply: (
            replace(reply, status=400, body=reply.body.replace(b"415", b"400"))
            if reply.status == 415
            else reply
        ),
        {"content-encoding", "transfer-encoding"},
    ),
    "a 500 for whatever is malformed": (
        status(
            lambda kind, problem: kind.startswith("multipart/related; ") and problem["status"] == 400, 500
        ),
        {"boundary-other", "empty-body", "cut-body", "bare-line-feeds", "bad-json"},
    ),
    "what is malformed is taken": (
        status(
            lambda kind, problem: kind.startswith("multipart/related; ") and problem["status"] == 400, 200
        ),
        {"boundary-other", "empty-body", "cut-body", "bare-line-feeds", "bad-json"},
    ),
    "errors are text": (to_errors(as_text), {"problems"}),
    "no request id": (document(request_id=None), {"problems"}),
    "a status that is text": (document(status="400"), {"problems"}),
    "another status in the problem": (document(status=499), {"problems"}),
    "a problem that is no JSON": (
        to_errors(lambda reply: replace(reply, body=b"{")),
        {"problems", "content-type"},
    ),
    "a detail of two lines": (document(detail="invalid content-type\nor so"), {"problems"}),
    "a traceback": (
        document(traceback="Traceback (most recent call last): ..."),
        {"no-traceback"},
    ),
    "the Content-Type is echoed": (echoing, {"no-echo"}),
    "the path is echoed": (echoing_path, {"no-echo"}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.slow
def test_fault(fault: str, spool_dir: Path) -> None:
    rewrite, expected = FAULTS[fault]
    assert failing(spool_dir, rewrite=rewrite, checks=AREA) == expected


@pytest.mark.slow
def test_a_gateway_that_waits_for_the_body(spool_dir: Path) -> None:
    """Both early answers come too late, however quick or slow this machine is."""
    assert failing(spool_dir, greedy=True, patience=0.5) == {"early-length", "early-type"}


class ClosingHandler(BaseHTTPRequestHandler):
    """Answers without reading the body, and closes."""

    def do_POST(self) -> None:
        self.send_response(400)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """No log."""


def test_a_gateway_that_closes_under_the_body() -> None:
    with HTTPServer(("127.0.0.1", 0), ClosingHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        (found,) = findings(url_of(("127.0.0.1", server.server_port)), [refusals.seen_while_sending])
        thread.join(30)
    assert found.verdict is Verdict.FAIL
    assert "closed under the body" in found.detail or "without an answer" in found.detail
    assert found.advice is not None


def test_nothing_to_say_of_errors_where_there_is_none() -> None:
    """As where nothing was refused: another check says that."""
    subject = Subject(Target("http://127.0.0.1:9", timeout=30), STUDY())
    for each in (refusals.problems, refusals.no_traceback, refusals.no_echo):
        assert each.run(subject).verdict is Verdict.SKIP


def test_a_gateway_that_hangs_up() -> None:
    """No answer at all is a failure that says which request it was."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (found,) = findings(url_of(("127.0.0.1", port)), [refusals.bad_json])
    assert found.verdict is Verdict.FAIL
    assert found.detail.startswith("a first part that is no JSON: there is no connection")
