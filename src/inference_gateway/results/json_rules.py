"""The JSON of an answer held against its fields: what is wrong in it, whatever study and elements are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from inference_gateway.results import fields
from inference_gateway.results.faults import Fault, kind_of

# The rule that a field belongs to; the last one of a path that is here decides.
_RULES = {
    "binary_data_shape": "element-size",
    "binary_type": "binary-types",
    "probability_threshold": "thresholds",
    "palette": "palettes",
    "palettes": "palettes",
    "label_map": "label-maps",
    "dicom_image": "references",
    "frame_number": "references",
    "SeriesInstanceUID": "references",
    "series_ml_json": "references",
}
# What a comparison failed by, where a number came that is no good.
_COMPARED = {"ge": "less than", "gt": "no more than", "le": "more than", "lt": "no less than"}
_TAGGED = ("parts", "palettes")  # the third step of such a path is a type, not a key


def read_answer(text: bytes | str) -> tuple[fields.AnswerJson | None, list[Fault]]:
    """Return the answer that a JSON text holds, None where it has faults, and the faults."""
    try:
        answer = _read(text)
    except ValidationError as error:
        return None, _once(map(_fault, error.errors(include_url=False)))
    return answer, list(_palettes_missing(answer.parts, answer.palettes)) if answer.parts else []


def _read(text: bytes | str) -> fields.AnswerJson:
    try:
        return fields.AnswerJson.model_validate_json(text)
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] != "json_invalid":
            raise
    # Python's parser takes what pydantic's does not: half a surrogate pair, deeper nesting.
    return fields.AnswerJson.model_validate(json.loads(text))


def _once(faults: Iterable[Fault]) -> list[Fault]:
    """Return faults without those of a list's further items that are wrong in the same way: one mistake."""
    first: dict[Any, Fault] = {}
    for fault in faults:
        first.setdefault((re.sub(r"\[\d+\]$", "", fault.path), fault.came, fault.write), fault)
    return list(first.values())


def _palettes_missing(parts: Sequence[Any], palettes: Any) -> Iterator[Fault]:
    for index, part in enumerate(parts):
        name = getattr(part, "palette", None)
        if name is not None and name not in palettes:
            path = f"parts[{index}].palette"
            yield Fault("palettes", path, "a name that is not among 'palettes'", _WRITE["palette"])


def _fault(error: ErrorDetails) -> Fault:
    steps = [
        step
        for at, step in enumerate(error["loc"])
        if not (at == 2 and error["loc"][0] in _TAGGED and len(error["loc"]) > 2)
    ]
    if error["type"].startswith("union_tag"):
        steps.append("type")
    context = error.get("ctx", {})
    write = context.get("write") or _written_at(steps)
    return Fault(_rule_of(steps), path_of(steps), _came(error, context), write)


def _came(error: ErrorDetails, context: dict[str, Any]) -> str:
    """Return what came, told by its kind."""
    if "came" in context:
        return str(context["came"])
    if error["type"] in ("missing", "union_tag_not_found"):
        return "nothing came"
    for key, words in _COMPARED.items():
        if key in context:
            return f"a number came that is {words} {context[key]:g}"
    if error["type"] in ("literal_error", "union_tag_invalid"):
        value = error["input"].get("type") if isinstance(error["input"], dict) else error["input"]
        return f"{kind_of(value)} came that is none of what it may be"
    return f"{kind_of(error['input'])} came"


def path_of(steps: Sequence[Any]) -> str:
    """Return a path in the JSON; keys that are none of the contract's may be anybody's data: `*`."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += ("." if path else "") + (step if step in _WRITE else "*")
    return path or "the JSON"


def _rule_of(steps: Sequence[Any]) -> str:
    if steps and steps[0] == "parts" and len(steps) <= 2:
        return "element-count"
    known = [_RULES[step] for step in steps if step in _RULES]
    return known[-1] if known else "findings"


def _written_at(steps: Sequence[Any]) -> str:
    """Return what to write at a path: what its last known field says, of an entry of a list what it is."""
    if steps and isinstance(steps[-1], int) and len(steps) == 2:
        return "an object"
    named = [step for step in steps if step in _WRITE]
    return _WRITE[named[-1]] if named else "an object"


def _descriptions() -> dict[str, str]:
    """Return the description of each field, by its name: a name means one thing wherever it stands."""
    found: dict[str, str] = {}
    for model in vars(fields).values():
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, field in model.model_fields.items():
                if field.description:
                    found.setdefault(name, field.description)
    return found


_WRITE = _descriptions()
