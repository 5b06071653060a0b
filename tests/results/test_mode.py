"""Answers that no rule has a say on."""

from typing import Any

import numpy as np
import pytest

from inference_gateway.results import AnswerJson
from inference_gateway.results.mode import RULED, is_plain

FREE = {"protocol_version", "study_ml_json", "dicomConformance"}


def test_every_key_of_the_contract_is_known() -> None:
    assert AnswerJson.model_fields.keys() == RULED | FREE


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        ({"protocol_version": "1.0"}, True),
        ({"protocol_version": "1.0", "parts": [], "study_ml_json": {"label": 1}, "mine": 2}, True),
        ({}, False),
        ({"protocol_version": 1.0}, False),
        ({"protocol_version": np.array(["1.0", "1.0"])}, False),
        ({"protocol_version": "1.0", "study_ml_json": []}, False),
        ({"protocol_version": "1.0", "parts": [{}]}, False),
        *(({"protocol_version": "1.0", key: {}}, False) for key in RULED - {"parts"}),
    ],
)
def test_plain(answer: dict[str, Any], plain: bool) -> None:
    assert is_plain(answer) == plain
