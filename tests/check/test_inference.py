"""An answer is taken apart as far as it can be."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.check.exchange import NoAnswer, Target
from inference_gateway.check.inference import Inference, infer
from inference_gateway.check.study import Upload
from tests.check.faulty import STUDY, Reply, Rewritten, complete, to_answers, token, url_of
from tests.harness.server import serving


@contextmanager
def answered(spool_dir: Path, change: object = None) -> Iterator[Inference]:
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", complete)
    rewrite = to_answers(change) if callable(change) else lambda scope, reply: reply
    with serving(Rewritten(app, rewrite)) as running:
        found = infer(Target(url_of(running.address), timeout=30), "/", Upload({}, STUDY()))
        try:
            yield found
        finally:
            found.close()


def test_a_whole_answer(spool_dir: Path) -> None:
    with answered(spool_dir) as found:
        assert found.answer.status == 200
        assert found.broken is None
        assert found.boundary is not None
        assert [piece.name for piece in found.pieces] == [
            *("json-body", "elem_0", "elem_1", "elem_2", "elem_3", "elem_4", "hashes"),
        ]
        assert [piece.body.size for piece in found.elements][:2] == [4 * 64 * 80, 64 * 80]
        assert found.elements[4].body.getvalue() == STUDY().files[0]
        assert len(found.json()["parts"]) == 5
        assert found.hashes is not None
        assert found.hashes.body.getvalue().startswith(found.upload.input_hash.encode() + b":")


def test_an_answer_that_breaks_off(spool_dir: Path) -> None:
    def cut(reply: Reply) -> Reply:
        at = reply.body.index(b'name="elem_2"')
        return Reply(reply.status, reply.headers, reply.body[:at])

    with answered(spool_dir, cut) as found:
        assert found.broken is not None
        assert [piece.name for piece in found.pieces] == ["json-body", "elem_0", "elem_1"]
        assert len(found.elements) == 2
        assert found.hashes is None


@pytest.mark.parametrize("kind", [b"multipart/related", b"multipart/related; boundary", b"text/plain", b""])
def test_an_answer_without_a_boundary(spool_dir: Path, kind: bytes) -> None:
    with answered(spool_dir, lambda reply: reply.with_header(b"content-type", kind)) as found:
        assert found.boundary is None
        assert found.broken == "its Content-Type gives no boundary"
        assert found.pieces == []
        assert found.json() is None


def test_a_part_without_a_name(spool_dir: Path) -> None:
    def change(reply: Reply) -> Reply:
        body = b"--" + token(reply) + b"\r\n\r\n{}\r\n--" + token(reply) + b"--\r\n"
        return Reply(reply.status, reply.headers, body)

    with answered(spool_dir, change) as found:
        assert [piece.name for piece in found.pieces] == [None]


def test_no_answer() -> None:
    with pytest.raises(NoAnswer):
        infer(Target("http://127.0.0.1:9", timeout=30), "/", Upload({}, STUDY()))


def test_closing_twice(spool_dir: Path) -> None:
    with answered(spool_dir) as found:
        found.close()
        assert found.spool.closed
