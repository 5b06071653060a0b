"""Each fault in probes and routes is found, and nothing else is."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference_gateway.check import refusals, routes
from tests.check.faulty import Reply, Rewrite, failing, to_path


def status(code: int) -> Rewrite:
    """The answer of /ping with another status."""
    return to_path("/ping", lambda reply: replace(reply, status=code), "GET")


def as_html(reply: Reply) -> Reply:
    return reply.with_header(b"content-type", b"text/html; charset=utf-8")


AREA = (*routes.CHECKS, *refusals.CHECKS)
"""The checks that such a fault could make fail."""

FAULTS: dict[str, tuple[Rewrite, set[str]]] = {
    "ping with another text": (
        to_path("/ping", lambda reply: replace(reply, body=b"pong"), "GET"),
        {"ping"},
    ),
    "ping that fails": (status(500), {"ping", "alive"}),
    "ping as HTML": (to_path("/ping", as_html), {"ping"}),
    "healthcheck that is not ready": (
        to_path("/healthcheck", lambda reply: replace(reply, status=503, body=b"loading"), "GET"),
        {"healthcheck"},
    ),
    "healthcheck with another word": (
        to_path("/healthcheck", lambda reply: replace(reply, body=b"OK"), "GET"),
        {"healthcheck"},
    ),
    "healthcheck as HTML": (to_path("/healthcheck", as_html), {"healthcheck"}),
    "no HEAD for a probe": (
        to_path("/healthcheck", lambda reply: replace(reply, status=405), "HEAD"),
        {"probe-methods"},
    ),
    "no POST for a probe": (
        to_path("/ping", lambda reply: replace(reply, status=405), "POST"),
        {"probe-methods"},
    ),
    "a trailing slash that redirects": (
        to_path("/ping/", lambda reply: replace(reply, status=307)),
        {"unknown-path"},
    ),
    "no Allow": (to_path("/", lambda reply: reply.with_header(b"allow", None), "PUT"), {"wrong-method"}),
    "Allow without POST": (
        to_path("/", lambda reply: reply.with_header(b"allow", b"GET"), "GET"),
        {"wrong-method"},
    ),
    "OPTIONS that is taken": (
        to_path("/", lambda reply: replace(reply, status=200), "OPTIONS"),
        {"wrong-method"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.slow
def test_fault(fault: str, spool_dir: Path) -> None:
    rewrite, expected = FAULTS[fault]
    assert failing(spool_dir, rewrite=rewrite, checks=AREA) == expected
