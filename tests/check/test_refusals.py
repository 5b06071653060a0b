"""Each request that is taken, and each word that should not be in a refusal, is found."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Scope

from tests.check.faulty import Reply, Rewrite, failing, to_errors

MALFORMED = {"boundary-other", "empty-body", "cut-body", "bare-line-feeds", "bad-json"}


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
        MALFORMED,
    ),
    "what is malformed is taken": (
        status(
            lambda kind, problem: kind.startswith("multipart/related; ") and problem["status"] == 400, 200
        ),
        MALFORMED,
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
def test_fault(fault: str, spool_dir: Path) -> None:
    rewrite, expected = FAULTS[fault]
    assert failing(spool_dir, rewrite=rewrite) == expected


def test_a_gateway_that_waits_for_the_body(spool_dir: Path) -> None:
    """Both early answers come too late, however quick or slow this machine is."""
    assert failing(spool_dir, greedy=True, patience=0.5) == {"early-length", "early-type"}
