"""What is done about the faults of an answer, and which answers can have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from inference_gateway.errors import InvalidModelOutput
from inference_gateway.results.faults import Fault, told

Mode = Literal["off", "warn", "strict"]
"""What is done about faults: nothing, said in the log, refused."""

RULED = {"parts", "palettes", "bounding_boxes_2d", "linear_measurements_2d", "series_ml_json"}
"""The keys that a rule has a say on: those of `fields.AnswerJson` but the version and free words."""


def is_plain(answer: Mapping[Any, Any]) -> bool:
    """Tell whether an answer has nothing but free words for the study: then no rule has a say.

    A shortcut for the smallest answers, which models of one number send by the thousand.
    """
    version = answer.get("protocol_version")
    if type(version) is not str or version != "1.0" or not isinstance(answer.get("study_ml_json", {}), dict):
        return False
    ruled = answer.keys() & RULED
    return not ruled or (ruled == {"parts"} and not answer["parts"])


def judge(faults: Sequence[Fault], mode: Mode) -> list[str]:
    """Return the lines for the log. Raises `InvalidModelOutput` where the answer must not be sent."""
    refused = [fault for fault in faults if fault.refused or mode == "strict"]
    if refused:
        raise InvalidModelOutput("\n".join(told(refused)))
    return [f"the model's answer has a fault: {line}" for line in told(faults)]
