"""Bytes of an answer in, a whole and true result or an error out: under every cut, for every lie."""

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from inference_gateway.client.answer import Answer, Refusal
from inference_gateway.client.result import InferenceResult
from inference_gateway.errors import BrokenAnswer, CutAnswer, HashMismatch, Overloaded, ProblemAnswer
from tests.client.servers import TRUE, canned
from tests.harness.server import left_in
from tests.harness.wire import digest, message, part, reply_bytes

INPUT_HASH = digest(b"1")
RELATED = "multipart/related; boundary=T"


def read(body: bytes, content_type: str = RELATED, size: int = 1 << 16) -> InferenceResult:
    answer = Answer(content_type)
    for start in range(0, len(body), size):
        answer.feed(body[start : start + size])
    return answer.finish(INPUT_HASH, {"model": 1.0})


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 16])
def test_a_whole_answer(size: int) -> None:
    result = read(TRUE, size=size)
    text = b'{"parts": [{"binary_type": "heatmap"}]}'
    assert result.json == json.loads(text)
    assert [(one.part, one.read()) for one in result.elements] == [({"binary_type": "heatmap"}, b"pixels")]
    assert (result.input_hash, result.output_hash) == (INPUT_HASH, digest(text, b"pixels"))
    assert result.timings == {"model": 1.0}


@pytest.mark.wire("response: client refuses an answer without hashes")
def test_every_cut_is_seen() -> None:
    end = len(TRUE) - len(b"\r\n")  # the line end after the close delimiter may be missing
    for at in range(end):
        with pytest.raises(CutAnswer):
            read(TRUE[:at])
    assert read(TRUE[:end]).json == read(TRUE).json


def without_hashes() -> bytes:
    start = TRUE.index(b'--T\r\nContent-Disposition: form-data; name="hashes"')
    return TRUE[:start] + b"--T--\r\n"


def deep(count: int) -> bytes:
    return b"[" * count + b"]" * count


@pytest.mark.wire("response: client refuses an answer without hashes")
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (without_hashes(), CutAnswer),
        (TRUE.replace(b"pixels", b"pixelz"), HashMismatch),
        (TRUE.replace(b'"heatmap"', b'"heatmop"'), HashMismatch),
        (TRUE.replace(INPUT_HASH.encode(), digest(b"2").encode()), HashMismatch),
        (TRUE.replace(INPUT_HASH.encode(), b""), HashMismatch),
        (TRUE.replace(INPUT_HASH.encode(), INPUT_HASH.upper().encode()), HashMismatch),
        (TRUE.replace(b"\r\n--T--", bytes(100_000) + b"\r\n--T--"), HashMismatch),
        (canned(b"{}", ("application/binary", b"x")), BrokenAnswer),
        (canned(b"[1]", ("application/binary", b"x")), BrokenAnswer),
        (canned(b'{"parts": [{}]}'), BrokenAnswer),
        (canned(b'{"parts": null}'), BrokenAnswer),
        (canned(b'{"parts": 7}'), BrokenAnswer),
        (canned(b'{"parts": [7]}', ("application/binary", b"x")), BrokenAnswer),
        (canned(b"no JSON"), BrokenAnswer),
        (canned(b"\xff"), BrokenAnswer),
        (canned(deep(100_000)), BrokenAnswer),
        (TRUE + b"more", BrokenAnswer),
        (TRUE.replace(b"--T--", b"--T\r\n\r\nanother part\r\n--T--"), BrokenAnswer),
        (TRUE.replace(b"Content-Type: text", b"Content-Encoding: gzip\r\nContent-Type: text"), BrokenAnswer),
        (TRUE.replace(b"Content-Type: text", b"X: y\r\n" * 17 + b"Content-Type: text"), BrokenAnswer),
        (b"<html>", BrokenAnswer),
        (b"", CutAnswer),
        (b"--T--\r\n", BrokenAnswer),
        (message(part(f"{INPUT_HASH}:{digest()}".encode(), b'X: name="hashes"'), boundary=b"T"), CutAnswer),
    ],
    ids=[
        "no hashes part",
        "another element",
        "other JSON",
        "another input hash",
        "no input hash",
        "hash in capitals",
        "a long hashes part",
        "an element too many",
        "an element for a list",
        "an element too few",
        "parts is null",
        "parts is a number",
        "parts is a list of numbers",
        "no JSON",
        "no text",
        "deep JSON",
        "more behind the end",
        "more behind the hashes",
        "an encoded part",
        "too many headers",
        "HTML",
        "empty",
        "no part",
        "hashes in another header",
    ],
)
def test_an_answer_that_is_not_true(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        read(body)
    assert raised.type is error


@pytest.mark.parametrize("side", ["input", "output"])
def test_the_error_says_which_hash_it_is(side: str) -> None:
    wrong = {"input": INPUT_HASH, "output": digest(b'{"parts": [{"binary_type": "heatmap"}]}', b"pixels")}
    with pytest.raises(HashMismatch, match=f"the hashes of the {side} differ"):
        read(TRUE.replace(wrong[side].encode(), digest(b"2").encode()))


@pytest.mark.parametrize(
    "content_type", ["", "text/html", "multipart/related", "multipart/related; boundary=", "a; b; c"]
)
def test_an_answer_of_another_kind(content_type: str) -> None:
    with pytest.raises(BrokenAnswer, match="boundary"):
        Answer(content_type)


@pytest.mark.parametrize("token", ["b'0123abc'", "b'--a=b/c:d'", "\"b'x y'\""])
def test_the_boundary_of_the_old_gateway(token: str) -> None:
    """It is the repr of Python bytes, quotes and all, in the header and in the body."""
    body = reply_bytes(token.strip('"'), {"parts": [{}]}, [("application/dicom", b"x")], INPUT_HASH)
    assert read(body, f"multipart/related; boundary={token}").elements[0].read() == b"x"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert left_in(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_large_answer_rests_on_disk(folder: Path) -> None:
    element = ("application/binary", bytes(20 << 20))
    answer = Answer(RELATED)
    answer.feed(canned(b'{"parts": [{"binary_type": "heatmap"}]}', element))
    with answer.finish(INPUT_HASH, {}) as result:
        assert len(left_in(folder)) == 1
        assert result.elements[0].size == 20 << 20
    assert left_in(folder) == []
    cut = Answer(RELATED)
    cut.feed(canned(b'{"parts": []}', element)[:-100])
    assert len(left_in(folder)) == 1
    cut.close()


# Other answers than 200


def refusal(body: bytes, status: int = 413, **headers: str) -> ProblemAnswer:
    one = Refusal(status, {name.replace("_", "-"): value for name, value in headers.items()})
    for at in range(0, len(body), 10):
        one.feed(body[at : at + 10])
    return one.problem()


def test_a_problem_document() -> None:
    document = {"type": "about:blank", "title": "T", "status": 413, "detail": "too much", "request_id": "r"}
    problem = refusal(json.dumps(document).encode())
    assert not isinstance(problem, Overloaded)
    assert (problem.status, problem.title, problem.detail) == (413, "T", "too much")
    assert problem.request_id == "r"
    assert str(problem) == "413: too much"


def test_a_traceback_for_the_author() -> None:
    document = {"detail": "failed", "traceback": "Traceback:\n  line 3\x1b[31m in model\n"}
    problem = refusal(json.dumps(document).encode(), 500)
    assert problem.traceback == "Traceback:\n  line 3[31m in model"  # and nothing for a terminal to obey
    for other in ({}, {"traceback": 7}, {"traceback": ""}):
        assert refusal(json.dumps({"detail": "failed", **other}).encode(), 500).traceback is None


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"7", b'{"title": 7}', b"\xff", deep(20_000), b'{"detail": "a\\u001b[31mb"}'],
)
def test_a_refusal_that_is_no_problem_document(body: bytes) -> None:
    """From a proxy on the way, say."""
    problem = refusal(body, 502, x_request_id="of the header")
    assert (problem.status, problem.title) == (502, "Bad Gateway")
    assert problem.detail == "the answer is not a problem document"
    assert problem.request_id == "of the header"


def test_a_status_without_a_name() -> None:
    assert str(refusal(b"", 599)) == "599: the answer is not a problem document"


def test_a_refusal_without_end() -> None:
    one = Refusal(500, {})
    for _ in range(60):
        one.feed(bytes(1000))
    with pytest.raises(ProblemAnswer) as problem:
        one.feed(bytes(10_000))
    assert problem.value.status == 500


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        *(("7", 7.0), ("0", 0.0), ("1.5", 1.5)),
        *((each, None) for each in ("", "soon", "nan", "inf", "-1", "1e999", "99 99")),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
    ],
)
def test_retry_after(retry_after: str, seconds: float | None) -> None:
    problem = refusal(b'{"detail": "later"}', 503, retry_after=retry_after)
    assert isinstance(problem, Overloaded)
    assert problem.retry_after == seconds
    assert problem.detail == "later"


def test_retry_after_is_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    problem: Any = refusal(b"", 503, retry_after=date)
    assert 900 < problem.retry_after <= 1000


def test_no_retry_after() -> None:
    problem: Any = refusal(b"", 503)
    assert problem.retry_after is None
    assert isinstance(problem, Overloaded)
