"""What must be refused, when, and in which words. No model is called by any of it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from inference_gateway.check.exchange import Answer, Headers, NoAnswer
from inference_gateway.check.verdict import PROBE_SECONDS, Check, Failed, Skipped, Subject, check

_PROBLEM = "application/problem+json"
_MEMBERS = {"type": str, "title": str, "status": int, "detail": str, "request_id": str}
_TOO_MUCH = 1 << 60  # an exbibyte: over any limit
_UNSENT = 1 << 20
_SENT_MEANWHILE = 16 << 20  # more than the socket buffers between two hosts hold
_BLOCK = 64 << 10

_MALFORMED = "refuse what is malformed with 400 before the model is called: a guess may be the wrong patient"


def _related(subject: Subject) -> str:
    """Return a Content-Type in which everything that could be echoed is the canary."""
    return f'multipart/related; boundary={subject.canary}; type="{subject.canary}"'


def _message(subject: Subject, root: bytes, *extra_headers: str, boundary: str | None = None) -> bytes:
    """Return a message of one part. A model that is called with it all the same gets no images."""
    lines = [f'Content-Disposition: form-data; name="{subject.canary}"; filename="{subject.canary}.dcm"']
    head = "\r\n".join([*lines, *extra_headers])
    token = boundary or subject.canary
    return f"--{token}\r\n{head}\r\n\r\n".encode() + root + f"\r\n--{token}--\r\n".encode()


def _root(subject: Subject) -> bytes:
    return json.dumps({"inference_command": subject.canary}).encode()


def _post(
    subject: Subject,
    what: str,
    content_type: str | None,
    body: bytes | Iterable[bytes],
    *headers: tuple[str, str],
    length: int | None = None,
    early: bool = False,
) -> Answer:
    """Send what is to be refused. `early`: the answer must not wait for a body."""
    sent: Headers = (("X-Request-Note", subject.canary), *headers)
    if content_type is not None:
        sent += (("Content-Type", content_type),)
    blocks = [body] if isinstance(body, bytes) else body
    if length is None:
        length = len(body) if isinstance(body, bytes) else 0
    sent += (("Content-Length", str(length)),)
    timeout = subject.patience if early else None
    try:
        answer = subject.target.send("POST", subject.route, sent, blocks, timeout=timeout)
    except NoAnswer as error:
        if error.late and early:
            raise Failed(f"{what}: no answer before the body", old=True) from None
        raise Failed(f"{what}: {error}") from None
    subject.refusals[what] = answer
    return answer


def _expect(what: str, answer: Answer, status: int, *, old: bool = True) -> str:
    """Say that it was refused with `status`, or raise `Failed`. `old`: so does the old gateway."""
    if answer.status != status:
        raise Failed(f"{what}: answered with {answer.status}, not {status}", old=old)
    return f"{what}: refused with {status}"


@check("content-type", "refuse anything but multipart/related with 400, detail 'invalid content-type ...'")
def content_type(subject: Subject) -> str:
    """Send JSON that is no message: 400, in the old gateway's words."""
    what = "a JSON body"
    answer = _post(subject, what, f'application/json; type="{subject.canary}"', _root(subject))
    said = _expect(what, answer, 400, old=False)
    text = _detail(answer) if answer.essence == _PROBLEM else answer.body.decode("utf-8", "replace")
    if not text.startswith("invalid content-type"):
        raise Failed(f"{what}: refused with 400, but not with the words 'invalid content-type'")
    return said


@check("content-type-similar", "compare the whole media type, not how it begins")
def content_type_similar(subject: Subject) -> str:
    """Send a media type that only begins like the right one."""
    what = "multipart/related-more"
    body = _message(subject, _root(subject))
    kind = _related(subject).replace("related", "related-more")
    return _expect(what, _post(subject, what, kind, body), 400)


@check("content-type-missing", _MALFORMED)
def content_type_missing(subject: Subject) -> str:
    """Send no Content-Type."""
    what = "no Content-Type"
    return _expect(what, _post(subject, what, None, _message(subject, _root(subject))), 400)


@check("boundary-missing", _MALFORMED)
def boundary_missing(subject: Subject) -> str:
    """Send a Content-Type without a boundary."""
    what = "no boundary"
    body = _message(subject, _root(subject))
    return _expect(what, _post(subject, what, "multipart/related", body), 400)


@check("boundary-other", _MALFORMED)
def boundary_other(subject: Subject) -> str:
    """Send a body with another boundary than its header's."""
    what = "a body with another boundary than the header's"
    body = _message(subject, _root(subject), boundary=subject.canary[::-1])
    return _expect(what, _post(subject, what, _related(subject), body), 400)


@check("empty-body", _MALFORMED)
def empty_body(subject: Subject) -> str:
    """Send nothing."""
    what = "an empty body"
    return _expect(what, _post(subject, what, _related(subject), b""), 400)


@check("cut-body", "refuse a body without its close delimiter with 400: images may be missing")
def cut_body(subject: Subject) -> str:
    """Send a message that is cut in its close delimiter."""
    what = "a body that is cut within its close delimiter"
    body = _message(subject, _root(subject))[: -len("--\r\n")]
    return _expect(what, _post(subject, what, _related(subject), body), 400)


@check("bare-line-feeds", _MALFORMED)
def bare_line_feeds(subject: Subject) -> str:
    """Send lines that end with LF alone."""
    what = "lines that end with LF alone"
    body = _message(subject, _root(subject)).replace(b"\r\n", b"\n")
    return _expect(what, _post(subject, what, _related(subject), body), 400)


@check("bad-json", _MALFORMED)
def bad_json(subject: Subject) -> str:
    """Send a root part that is no JSON."""
    what = "a first part that is no JSON"
    body = _message(subject, f'{{"{subject.canary}"'.encode())
    return _expect(what, _post(subject, what, _related(subject), body), 400)


@check("content-encoding", "refuse a Content-Encoding with 415, also where a proxy could undo it")
def content_encoding(subject: Subject) -> str:
    """Send a Content-Encoding."""
    what = "a Content-Encoding"
    body = _message(subject, _root(subject))
    return _expect(what, _post(subject, what, _related(subject), body, ("Content-Encoding", "gzip")), 415)


@check(
    "transfer-encoding", "refuse a part's Content-Transfer-Encoding other than binary, 8bit, 7bit with 415"
)
def transfer_encoding(subject: Subject) -> str:
    """Send a part in base64."""
    what = "a part in base64"
    body = _message(subject, _root(subject), "Content-Transfer-Encoding: base64")
    return _expect(what, _post(subject, what, _related(subject), body), 415)


@check(
    "early-length", "compare the declared length with the limit when the header is in, and answer 413 then"
)
def early_length(subject: Subject) -> str:
    """Declare an exbibyte: 413 before any of it is sent."""
    what = "a declared length of an exbibyte, nothing sent"
    return _expect(what, _post(subject, what, _related(subject), b"", length=_TOO_MUCH, early=True), 413)


@check("early-type", "look at the Content-Type when the header is in, and answer 400 then")
def early_type(subject: Subject) -> str:
    """Send a bad header only: 400 without a body."""
    what = "a bad Content-Type, nothing of its body sent"
    kind = f'text/plain; type="{subject.canary}"'
    return _expect(what, _post(subject, what, kind, b"", length=_UNSENT, early=True), 400)


@check("seen-while-sending", "go on reading for a while after an early answer: closing at once destroys it")
def seen_while_sending(subject: Subject) -> str:
    """Send a long body in spite of a bad header, and see the answer all the same."""
    what = "a bad Content-Type, its body sent all the same"
    blocks = (bytes(_BLOCK) for _ in range(_SENT_MEANWHILE // _BLOCK))
    try:
        answer = _post(subject, what, f'text/plain; type="{subject.canary}"', blocks, length=_SENT_MEANWHILE)
    except Failed as failure:
        raise Failed(str(failure), old=True) from None
    if answer.interrupted:
        raise Failed(f"{what}: closed under the body, so that most clients never see the answer", old=True)
    return _expect(what, answer, 400)


@check(
    "problems", f"send each error as {_PROBLEM} (RFC 9457) with type, title, status, detail and request_id"
)
def problems(subject: Subject) -> str:
    """See that every refusal so far is a problem document."""
    for what, answer in _errors(subject):
        if answer.essence != _PROBLEM:
            raise Failed(f"{what}: the error is not {_PROBLEM}", old=answer.essence == "text/html")
        document = _document(answer)
        wrong = [key for key, kind in _MEMBERS.items() if not isinstance(document.get(key), kind)]
        if wrong:
            raise Failed(f"{what}: the problem has no {' and no '.join(wrong)}")
        if document["status"] != answer.status:
            raise Failed(f"{what}: the problem has another status than the answer")
        detail = _detail(answer)
        if not detail.strip() or "\n" in detail:
            raise Failed(f"{what}: the detail is not one sentence")
    return f"all {len(_errors(subject))} errors are problem documents"


@check("no-traceback", "keep tracebacks in the log: they show code and data")
def no_traceback(subject: Subject) -> str:
    """See that no refusal so far shows a traceback."""
    for what, answer in _errors(subject):
        if b"Traceback (most recent call last)" in answer.body:
            raise Failed(f"{what}: the error shows a traceback")
    return "no error shows a traceback"


@check("no-echo", "say in an error what is wrong, never what came: it may be about a patient, or be a script")
def no_echo(subject: Subject) -> str:
    """See that no refusal so far repeats what was sent."""
    for what, answer in _errors(subject):
        said = "\n".join(f"{name}: {value}" for name, value in answer.headers).encode() + answer.body
        if subject.canary.encode() in said:
            # The one place where the old gateway does it.
            raise Failed(f"{what}: the error echoes what came", old=answer.status == 400)
    return "no error has anything of its request"


@check("alive", "see the gateway's log: bad requests must not wear it down")
def alive(subject: Subject) -> str:
    """Ping, after all of these."""
    status = subject.target.send("GET", "/ping", timeout=PROBE_SECONDS).status
    if status != 200:
        raise Failed(f"after all this GET /ping was answered with {status}")
    return "after all this the gateway still answers"


def _errors(subject: Subject) -> list[tuple[str, Answer]]:
    found = [(what, answer) for what, answer in subject.refusals.items() if answer.status >= 400]
    if not found:
        raise Skipped("no request was refused")
    return found


def _document(answer: Answer) -> dict[str, object]:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _detail(answer: Answer) -> str:
    return str(_document(answer).get("detail", ""))


CHECKS: tuple[Check, ...] = (
    *(content_type, content_type_similar, content_type_missing, boundary_missing, boundary_other),
    *(empty_body, cut_body, bare_line_feeds, bad_json, content_encoding, transfer_encoding),
    *(early_length, early_type, seen_while_sending, problems, no_traceback, no_echo, alive),
)
