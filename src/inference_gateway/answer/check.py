"""What a model returned, checked as a whole before the first byte of the answer is sent."""

from __future__ import annotations

import io
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inference_gateway.errors import InvalidModelOutput
from inference_gateway.payload.element import Element, FileElement, IterableElement, element_of


class InferenceResponse(NamedTuple):
    """A checked result, ready to be sent. `elements`: media type and element, one for each of `parts`."""

    json: bytes
    elements: list[tuple[str, Element]]

    @property
    def needs_model(self) -> bool:
        """Whether the model goes on working while the answer is sent."""
        return any(isinstance(element, IterableElement) for _, element in self.elements)

    def end_iterables(self) -> None:
        """Ends the generators that have not come to their end: to be called on the model's thread."""
        for _, element in self.elements:
            if isinstance(element, IterableElement) and isinstance(element.iterable, Generator):
                element.iterable.close()

    def close(self) -> None:
        """Closes the files that were made for this response. A model's own stay open."""
        for _, element in self.elements:
            if isinstance(element, FileElement) and element.own:
                element.file.close()


def prepare(result: Any, binary_types: Mapping[str, str], spool_dir: Path) -> InferenceResponse:
    """Checks what a model returned: `(json, elements)`, or just `json`. Blocks; exhausts `elements`.

    `binary_types`: `binary_type` → media type. Raises `InvalidModelOutput` where the result does not fit
    the wire contract, and what a lazy `elements` raises.
    """
    if isinstance(result, tuple):
        if len(result) != 2:
            raise InvalidModelOutput(f"the model returned a tuple of {len(result)}, not (json, elements)")
        json_value, elements = result
    else:
        json_value, elements = result, None
    parts = json_value.get("parts", []) if isinstance(json_value, dict) else []
    if not isinstance(parts, list | tuple):
        raise InvalidModelOutput(f"'parts' is a {type(parts).__name__}, not a list")
    media_types = [_media_type(index, part, binary_types) for index, part in enumerate(parts)]
    found = [] if elements is None else _listed(elements)
    if len(found) != len(media_types):
        raise InvalidModelOutput(
            f"the model returned {len(found)} elements for {len(media_types)} entries of 'parts'"
        )
    try:
        text = _to_json(json_value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidModelOutput(f"the JSON cannot be written ({type(error).__name__})") from error
    response = InferenceResponse(text.encode("ascii"), [])
    try:
        for index, value in enumerate(found):
            response.elements.append((media_types[index], _element(index, value, spool_dir)))
    except BaseException:
        response.close()
        raise
    return response


def _media_type(index: int, part: Any, binary_types: Mapping[str, str]) -> str:
    binary_type = part.get("binary_type") if isinstance(part, dict) else None
    if not isinstance(binary_type, str) or binary_type not in binary_types:
        raise InvalidModelOutput(f"parts[{index}] has no known 'binary_type': {', '.join(binary_types)}")
    return binary_types[binary_type]


def _listed(elements: Any) -> list[Any]:
    if isinstance(elements, str | bytes | bytearray | memoryview | Mapping | io.IOBase):
        raise InvalidModelOutput(f"the elements are a {type(elements).__name__}, not a list of elements")
    try:
        iterator = iter(elements)
    except TypeError:
        raise InvalidModelOutput(
            f"the elements are a {type(elements).__name__}, not a list of elements"
        ) from None
    return list(iterator)


def _numpy_value(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


_to_json = json.JSONEncoder(default=_numpy_value).encode


def _element(index: int, value: Any, spool_dir: Path) -> Element:
    """The element for what a model returned; raises `InvalidModelOutput` for what is none."""
    try:
        element = element_of(value, spool_dir)
    except (OSError, ValueError) as error:
        raise InvalidModelOutput(f"element {index} cannot be read ({type(error).__name__})") from error
    if element is None:
        raise InvalidModelOutput(
            f"element {index} is a {type(value).__name__}: return an array, bytes, a binary file, a path, "
            "a pydicom Dataset or an iterable of bytes"
        )
    return element
