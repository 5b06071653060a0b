"""Phases, and what is said of them."""

from collections.abc import Iterator

import httpx
import pytest

from inference_gateway.infer.progress import Phases


class Pieces(httpx.SyncByteStream):
    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.closed = pieces, False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)

    def close(self) -> None:
        self.closed = True


def test_phases_follow_each_other_and_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    phases = Phases(show=True)
    with phases.shown():
        phases.begin("read", "files", 2)
        phases.advance()
        phases.advance()
        phases.sent(10, 2_000_000)
        phases.sent(2_000_000, 2_000_000)
        phases.begin("write", "pictures")
        phases.update(3, 3)
    assert list(phases.seconds) == ["read", "upload", "model", "write"]
    assert all(seconds >= 0 for seconds in phases.seconds.values())
    said = capsys.readouterr()
    assert said.out == ""
    for text in ("read", "2 of 2 files", "2.0 of 2.0 MB", "model", "3 of 3 pictures"):
        assert text in said.err


def test_a_phase_that_comes_again_adds_up() -> None:
    phases = Phases(show=False)
    phases.seconds["read"] = 100.0
    phases.begin("read")
    phases.end()
    phases.end()
    assert phases.seconds["read"] > 100.0


def test_what_ends_badly_has_no_time(capsys: pytest.CaptureFixture[str]) -> None:
    phases = Phases(show=False)

    def interrupted() -> None:
        with phases.shown():
            phases.begin("read")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert phases.seconds == {}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("length", ["6", "", "many"])
def test_a_download_is_followed(length: str, capsys: pytest.CaptureFixture[str]) -> None:
    phases = Phases(show=True)
    pieces = Pieces(b"abc", b"def")
    response = httpx.Response(200, headers={"content-length": length} if length else {}, stream=pieces)
    with phases.shown():
        phases.sent(5, 5)
        phases.answered(response)
        assert b"".join(response.iter_raw()) == b"abcdef"
    response.close()
    assert pieces.closed
    assert list(phases.seconds) == ["upload", "model", "download"]
    assert "download" in capsys.readouterr().err


def test_a_refusal_is_no_download() -> None:
    phases = Phases(show=False)
    pieces = Pieces(b"no")
    response = httpx.Response(413, stream=pieces)
    phases.begin("model")
    phases.answered(response)
    phases.end()
    assert response.stream is pieces
    assert list(phases.seconds) == ["model"]
