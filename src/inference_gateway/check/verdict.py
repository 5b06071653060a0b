"""What a check is, and what comes of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from inference_gateway.check.exchange import Answer, NoAnswer, Target
from inference_gateway.check.inference import Inference, Piece, infer
from inference_gateway.check.study import Study, Upload
from inference_gateway.payload.contract import BINARY_TYPES

PROBE_SECONDS = 30.0
"""For an answer that needs neither a body nor a model."""


_ALL = 1 << 62  # bytes: more than any mask has


class Verdict(StrEnum):
    """`DIFFERS`: not as the contract has it, but as the old Flask gateway is known to do it."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    DIFFERS = "differs"
    SKIP = "skip"


class Failed(Exception):
    """The contract is broken; the message says how, and quotes nothing of a study or an answer's parts.

    `old`: the old Flask gateway does just that.
    """

    def __init__(self, detail: str, *, old: bool = False) -> None:
        super().__init__(detail)
        self.old = old


class Skipped(Exception):
    """There is nothing to look at; the message says why."""


@dataclass(frozen=True)
class Finding:
    """What came of one check. `advice`: what to do, where it failed."""

    check: str
    verdict: Verdict
    detail: str
    advice: str | None = None


@dataclass(eq=False)
class Subject:
    """The gateway under test, and what it has answered so far.

    `route`: the inference route. `asked`: the JSON that goes with the study. `patience`: seconds for an
    answer that must come before the body. `binary_types`: `binary_type` → media type. `canary`: a word that
    is put wherever a gateway could echo it. `refusals`: the answers to requests that were to be refused.
    """

    target: Target
    study: Study
    route: str = "/"
    asked: Any = field(default_factory=dict)
    old: bool = False
    patience: float = 10.0
    binary_types: Mapping[str, str] = field(default_factory=lambda: dict(BINARY_TYPES))
    canary: str = field(default_factory=lambda: "canary" + secrets.token_hex(8))
    refusals: dict[str, Answer] = field(default_factory=dict)
    _inference: Inference | NoAnswer | None = None
    _faults: list[Any] | None = None

    def infer(self) -> Inference:
        """Return the answer to the study, which is sent once. Raises `NoAnswer` where none came."""
        if self._inference is None:
            try:
                self._inference = infer(self.target, self.route, Upload(self.asked, self.study))
            except NoAnswer as error:
                self._inference = error
        if isinstance(self._inference, NoAnswer):
            raise self._inference
        return self._inference

    def answered(self) -> Inference:
        """Return the answer to the study. Raises `Skipped` where it is not a 200."""
        try:
            inference = self.infer()
        except NoAnswer:
            raise Skipped("the study got no answer") from None
        if inference.answer.status != 200:
            raise Skipped(f"the study was answered with {inference.answer.status}")
        return inference

    def message(self) -> Inference:
        """Return the same. Raises `Skipped` where it has no readable part."""
        inference = self.answered()
        if not inference.pieces:
            raise Skipped("the answer has no readable part")
        return inference

    def whole_message(self) -> Inference:
        """Return the same. Raises `Skipped` where it breaks off, and so may lack parts."""
        message = self.message()
        if message.broken is not None:
            raise Skipped("the answer cannot be read to its end")
        return message

    def json(self) -> dict[str, Any]:
        """Return the answer's JSON. Raises `Skipped` where it is no object."""
        try:
            value = self.message().json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Skipped("the answer's first part is no JSON object")
        return value

    def entries(self) -> list[Any]:
        """Return the answer's `parts`; whatever they are, as a list."""
        entries = self.json().get("parts", [])
        return entries if isinstance(entries, list) else []

    def elements(self, *binary_types: str) -> list[tuple[int, dict[str, Any], Piece]]:
        """Return index, entry of `parts` and element, of these types. Raises `Skipped` for none."""
        pairs = zip(self.entries(), self.message().elements, strict=False)
        found = [
            (index, entry, piece)
            for index, (entry, piece) in enumerate(pairs)
            if isinstance(entry, dict) and entry.get("binary_type") in binary_types
        ]
        if not found:
            raise Skipped("the answer has no such element")
        return found

    def faults(self) -> list[Any]:
        """Return what is wrong with the answer, `results.faults.Fault`s. Raises `Skipped` as `json` does.

        The rules are imported here: they need what a command that only shows its help can do without.
        """
        from inference_gateway.payload.element import FileElement
        from inference_gateway.results.validation import faults_in

        if self._faults is None:
            self.json()
            message = self.message()
            bodies = [piece.body for piece in message.elements]
            elements = [FileElement(body, body.size) for body in bodies]
            text = message.pieces[0].body.getvalue()
            self._faults = faults_in(text, bodies, elements, self.study.heads, look=_ALL)
        return self._faults

    def close(self) -> None:
        """Free the answer to the study."""
        if isinstance(self._inference, Inference):
            self._inference.close()


@dataclass(frozen=True)
class Check:
    """One question to a gateway. `function` gives what holds, or raises `Failed` or `Skipped`."""

    name: str
    advice: str
    function: Callable[[Subject], str]

    def run(self, subject: Subject) -> Finding:
        """Ask it."""
        try:
            return Finding(self.name, Verdict.PASS, self.function(subject))
        except Skipped as reason:
            return Finding(self.name, Verdict.SKIP, str(reason))
        except NoAnswer as error:
            return Finding(self.name, Verdict.FAIL, str(error), self.advice)
        except Failed as failure:
            if failure.old and subject.old:
                return Finding(self.name, Verdict.DIFFERS, f"{failure} (the old gateway does so)")
            return Finding(self.name, Verdict.FAIL, str(failure), self.advice)


def check(name: str, advice: str) -> Callable[[Callable[[Subject], str]], Check]:
    """Make a check of a function. `advice`: what to do where it fails, one sentence."""
    return lambda function: Check(name, advice, function)
