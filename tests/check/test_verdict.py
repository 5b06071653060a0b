"""What comes of a check, by what its function does."""

import pytest

from inference_gateway.check.exchange import NoAnswer, Target
from inference_gateway.check.verdict import Check, Failed, Finding, Skipped, Subject, Verdict, check
from tests.check.faulty import STUDY


def subject(*, old: bool = False) -> Subject:
    """Of a gateway that is not there."""
    return Subject(Target("http://127.0.0.1:9", timeout=30), STUDY(), old=old)


def raising(error: Exception) -> Check:
    @check("a-check", "do this")
    def ask(subject: Subject) -> str:
        raise error

    return ask


def test_pass() -> None:
    @check("a-check", "do this")
    def ask(subject: Subject) -> str:
        return "it is so"

    assert ask.run(subject()) == Finding("a-check", Verdict.PASS, "it is so")


@pytest.mark.parametrize(
    ("error", "old", "finding"),
    [
        (Failed("no"), False, Finding("a-check", Verdict.FAIL, "no", "do this")),
        (Failed("no"), True, Finding("a-check", Verdict.FAIL, "no", "do this")),
        (Failed("no", old=True), False, Finding("a-check", Verdict.FAIL, "no", "do this")),
        (Failed("no", old=True), True, Finding("a-check", Verdict.DIFFERS, "no (the old gateway does so)")),
        (NoAnswer("gone"), True, Finding("a-check", Verdict.FAIL, "gone", "do this")),
        (Skipped("none"), False, Finding("a-check", Verdict.SKIP, "none")),
    ],
)
def test_what_a_check_raises(error: Exception, old: bool, finding: Finding) -> None:
    assert raising(error).run(subject(old=old)) == finding


def test_a_defect_of_a_check_is_not_a_verdict() -> None:
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError()).run(subject())


def test_the_study_is_sent_once() -> None:
    asked = subject()
    with pytest.raises(NoAnswer) as first:
        asked.infer()
    with pytest.raises(NoAnswer) as second:
        asked.infer()
    assert first.value is second.value
    for look in (
        asked.answered,
        asked.message,
        asked.whole_message,
        asked.json,
        asked.entries,
        asked.elements,
    ):
        with pytest.raises(Skipped, match="no answer"):
            look()
    asked.close()


def test_canaries_are_fresh() -> None:
    assert subject().canary != subject().canary
