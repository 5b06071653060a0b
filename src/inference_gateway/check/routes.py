"""The probes, and what is answered where no route is."""

from __future__ import annotations

from inference_gateway.check.exchange import Answer
from inference_gateway.check.verdict import PROBE_SECONDS, Check, Failed, Subject, check
from inference_gateway.payload.contract import PONG


def _probe(subject: Subject, method: str, path: str, body: bytes = b"") -> Answer:
    headers = (("Content-Length", str(len(body))),) if method == "POST" or body else ()
    return subject.target.send(method, path, headers, [body] if body else [], timeout=PROBE_SECONDS)


def _refused(subject: Subject, what: str, method: str, path: str, status: int, body: bytes = b"") -> Answer:
    answer = subject.refusals[what] = _probe(subject, method, path, body)
    if answer.status != status:
        raise Failed(f"{what}: answered with {answer.status}, not {status}", old=True)
    return answer


@check("ping", f"let /ping answer 200 and exactly {PONG!r} while the process lives")
def ping(subject: Subject) -> str:
    """Ask for liveness."""
    answer = _probe(subject, "GET", "/ping")
    if answer.status != 200:
        raise Failed(f"GET /ping was answered with {answer.status}")
    if answer.body != PONG.encode():
        raise Failed("GET /ping has another text")
    if answer.essence != "text/plain":
        raise Failed("GET /ping has the right text, but not as text/plain", old=answer.essence == "text/html")
    return "GET /ping says that the service is up"


@check("healthcheck", "wait until the model is set up; the health check's handler must then return 'READY'")
def healthcheck(subject: Subject) -> str:
    """Ask for readiness."""
    answer = _probe(subject, "GET", "/healthcheck")
    if answer.status != 200:
        raise Failed(f"GET /healthcheck was answered with {answer.status}")
    if answer.body.strip() != b"READY":
        raise Failed("GET /healthcheck was answered with 200, but does not say READY")
    if answer.essence != "text/plain":
        raise Failed("GET /healthcheck says READY, but not as text/plain", old=answer.essence == "text/html")
    return "GET /healthcheck says READY"


@check("probe-methods", "let both probes take GET, HEAD and POST: load balancers use all of them")
def probe_methods(subject: Subject) -> str:
    """Ask both probes by HEAD and POST."""
    for path in ("/ping", "/healthcheck"):
        for method in ("HEAD", "POST"):
            status = _probe(subject, method, path).status
            if status != 200:
                raise Failed(f"{method} {path} was answered with {status}")
    return "/ping and /healthcheck take HEAD and POST too"


@check("unknown-path", "answer 404 where no route is, also for a trailing slash: see that no proxy redirects")
def unknown_path(subject: Subject) -> str:
    """Ask for paths that are no routes."""
    _refused(subject, "a path without a route", "GET", f"/{subject.canary}", 404)
    _refused(subject, "/ping with a slash at its end", "GET", "/ping/", 404)
    return "a path without a route and a trailing slash are 404"


@check("wrong-method", "answer 405, with an Allow header that has POST, for other methods of the route")
def wrong_method(subject: Subject) -> str:
    """Ask the inference route by other methods, with a body: GET of `/` alone asks who answers there."""
    for method in ("GET", "PUT", "OPTIONS"):
        answer = _refused(subject, f"{method} of the inference route", method, subject.route, 405, b"{}")
        allowed = [each.strip() for each in (answer.header("allow") or "").split(",")]
        if "POST" not in allowed:
            raise Failed(f"{method} was answered with 405 without POST in an Allow header")
    return "other methods than POST are 405 and say what is allowed"


CHECKS: tuple[Check, ...] = (ping, healthcheck, probe_methods, unknown_path, wrong_method)
