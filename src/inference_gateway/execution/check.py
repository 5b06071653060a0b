"""What a model returned, checked as a whole before the first byte of the answer is sent."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inference_gateway.errors import InvalidModelOutput
from inference_gateway.execution.json_text import json_text
from inference_gateway.payload.element import (
    Element,
    FileElement,
    IterableElement,
    as_array,
    element_of,
    kept,
    type_name,
)
from inference_gateway.payload.part import Part
from inference_gateway.results.answer import Answer
from inference_gateway.results.mode import Mode, is_plain, judge

_WHAT_TO_RETURN = 'return {"protocol_version": "1.0", "parts": [...]}, elements'
_NOT_READABLE = (
    "return a NumPy array of it, such as tensor.detach().cpu().numpy() or SimpleITK.GetArrayFromImage(image)"
)


class InferenceResponse(NamedTuple):
    """A checked result, ready to be sent.

    `elements`: media type and element, one for each of `parts`. `warnings`: for the log; what is sent
    although not every client can read it. `faults`: how many these are.
    """

    json: bytes
    elements: list[tuple[str, Element]]
    warnings: Sequence[str] = ()
    faults: int = 0

    @property
    def needs_model(self) -> bool:
        """Tell whether the model goes on working while the answer is sent."""
        return any(isinstance(element, IterableElement) for _, element in self.elements)

    def end_iterables(self) -> None:
        """End the generators that have not come to their end: to be called on the model's thread."""
        for _, element in self.elements:
            if isinstance(element, IterableElement):
                element.end()

    def close(self) -> None:
        """Close the files that were made for this response. A model's own stay open."""
        for _, element in self.elements:
            if isinstance(element, FileElement) and element.own:
                element.file.close()


@dataclass(frozen=True)
class Contract:
    """What a route's answers have to keep.

    `binary_types`: `binary_type` → media type. `mode`: what is done about faults. `at_rest`: an element that
    is an iterable is read to its end, so that nothing of the result is still to be made.
    """

    binary_types: Mapping[str, str]
    spool_dir: Path
    mode: Mode = "off"
    at_rest: bool = False


def prepare(result: Any, contract: Contract, inputs: Sequence[Part] = ()) -> InferenceResponse:
    """Check what a model returned: `(json, elements)`, just `json`, or an `Answer`.

    Blocks; exhausts `elements`, and asks each element that is an iterable for its first item. `inputs`: of
    the request, which the answer is held against. Raises `InvalidModelOutput` where the result does not fit
    the wire contract, and what a lazy `elements` or an iterable element raises.
    """
    if isinstance(result, Answer):
        result = result.result()
    json_value, elements = (result, None) if isinstance(result, dict) else _split(result)
    parts = json_value.get("parts", [])
    if not isinstance(parts, list | tuple):
        raise InvalidModelOutput(f"'parts' is a {type_name(parts)}, not a list")
    media_types = [_media_type(index, part, contract.binary_types) for index, part in enumerate(parts)]
    found = [] if elements is None else _listed(elements, len(media_types))
    if len(found) != len(media_types):
        raise InvalidModelOutput(_miscounted(elements, found, len(media_types)))
    text, not_finite = json_text(json_value)
    response = InferenceResponse(text.encode("ascii"), [])
    try:
        for index, value in enumerate(found):
            element = _element(index, value, contract.spool_dir)
            response.elements.append((media_types[index], element))
            if isinstance(element, IterableElement) and element.size is None:
                _begin(index, value, element)
            if contract.at_rest and (element.size is None or isinstance(element, IterableElement)):
                response.elements[-1] = (media_types[index], kept(element, contract.spool_dir))
        if contract.mode == "off" or (not not_finite and is_plain(json_value)):
            return response
        # Here, and not above: a process whose models have no such answers does without pydantic.
        from inference_gateway.results.validation import faults_in

        faults = faults_in(
            response.json,
            found,
            [element for _, element in response.elements],
            [part.head for part in inputs],
            not_finite,
        )
        return response._replace(warnings=judge(faults, contract.mode), faults=len(faults))
    except BaseException:
        response.end_iterables()
        response.close()
        raise


def _split(result: Any) -> tuple[dict[Any, Any], Any]:
    """Return the JSON object and the elements. Raises `InvalidModelOutput` where there is no such object."""
    if isinstance(result, tuple):
        if len(result) != 2:
            raise InvalidModelOutput(
                f"the model returned a tuple of {len(result)}, not (json, elements): {_WHAT_TO_RETURN}"
            )
        json_value, elements = result
        place = "the first of the two that the model returned is"
    else:
        json_value, elements = result, None
        place = "the model returned"
    if not isinstance(json_value, dict):
        what = "None (is a return missing?)" if json_value is None else f"a {type_name(json_value)}"
        raise InvalidModelOutput(f"{place} {what}, not the JSON object: {_WHAT_TO_RETURN}")
    return json_value, elements


def _media_type(index: int, part: Any, binary_types: Mapping[str, str]) -> str:
    binary_type = part.get("binary_type") if isinstance(part, dict) else None
    if not isinstance(binary_type, str) or binary_type not in binary_types:
        raise InvalidModelOutput(f"parts[{index}] has no known 'binary_type': {', '.join(binary_types)}")
    return binary_types[binary_type]


def _listed(elements: Any, count: int) -> list[Any]:
    """Return the elements, one more than `count` at the most: there may be no end to them."""
    if isinstance(elements, list | tuple):
        return list(elements)
    no_list = f"the elements are a {type_name(elements)}, not a list of elements"
    if isinstance(elements, str | bytes | bytearray | memoryview | Mapping | io.IOBase):
        raise InvalidModelOutput(no_list)
    try:
        array = as_array(elements)
    except TypeError as error:
        raise InvalidModelOutput(f"{no_list}, and NumPy cannot read it: {_NOT_READABLE}") from error
    try:
        iterator = iter(elements if array is None else array)
    except TypeError:
        raise InvalidModelOutput(no_list) from None
    return list(islice(iterator, count + 1))


def _miscounted(elements: Any, found: list[Any], count: int) -> str:
    """Return what to say where there are more or fewer elements than entries."""
    said = f"{len(found)} elements for {count} entries of 'parts'"
    if isinstance(elements, list | tuple | None):
        return f"the model returned {said}"
    said = f"the model returned {'at least ' if len(found) > count else ''}{said}"
    if isinstance(found[0] if found else None, np.ndarray | np.generic):
        return f"{said}: an array is taken along its first axis, [array] is one element"
    return f"{said}: they came as a {type_name(elements)}"


def _element(index: int, value: Any, spool_dir: Path) -> Element:
    """Return the element for what a model returned; raise `InvalidModelOutput` for what is none."""
    what = f"element {index} is a {type_name(value)}"
    try:
        element = element_of(value, spool_dir)
    except InvalidModelOutput as error:
        raise InvalidModelOutput(f"{what}: {error.reason}") from error
    except (OSError, ValueError) as error:
        raise InvalidModelOutput(f"{what} that cannot be read ({type(error).__name__})") from error
    except TypeError as error:
        raise InvalidModelOutput(f"{what} that NumPy cannot read: {_NOT_READABLE}") from error
    if element is None:
        raise InvalidModelOutput(
            f"{what}: return an array, bytes, a binary file, a path, a pydicom Dataset or "
            "an iterable of bytes"
        )
    return element


def _begin(index: int, value: Any, element: IterableElement) -> None:
    """See that the first item is bytes; what the iterable raises is the model's own error."""
    try:
        element.begin()
    except InvalidModelOutput as error:
        raise InvalidModelOutput(
            f"element {index} is a {type_name(value)}: {error.reason}: {_NOT_READABLE}"
        ) from error
