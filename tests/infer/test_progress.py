"""Phases, and what is said of them."""

import pytest

from inference_gateway.client import Progress
from inference_gateway.infer.progress import Phases


def test_phases_follow_each_other_and_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    phases = Phases(show=True)
    with phases.shown():
        phases.begin("read", "files", 2)
        phases.advance()
        phases.advance()
        phases.called(Progress(10, 2_000_000, 0, 1))
        phases.called(Progress(2_000_000, 2_000_000, 1, 1))
        phases.begin("write", "planes")
        phases.update(3, 3)
    assert list(phases.seconds) == ["read", "upload", "model", "write"]
    assert all(seconds >= 0 for seconds in phases.seconds.values())
    said = capsys.readouterr()
    assert said.out == ""
    for text in ("read", "2 of 2 files", "2.0 of 2.0 MB", "model", "3 of 3 planes"):
        assert text in said.err


def test_nothing_is_not_one(capsys: pytest.CaptureFixture[str]) -> None:
    phases = Phases(show=True)
    with phases.shown():
        phases.begin("find", "files")
    assert "0 of 0 files" in capsys.readouterr().err


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


@pytest.mark.parametrize("total", [6, None])
def test_a_call_is_followed(total: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    phases = Phases(show=True)
    with phases.shown():
        for sent, received in ((0, 0), (1_000_000, 0), (2_000_000, 0), (2_000_000, 0), (2_000_000, 6)):
            phases.called(Progress(sent, 2_000_000, 0, 1, received, total))
    assert list(phases.seconds) == ["upload", "model", "download"]
    said = capsys.readouterr().err
    for text in ("2.0 of 2.0 MB", "model", "download"):
        assert text in said
