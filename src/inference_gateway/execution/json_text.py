"""The JSON of an answer: as `json.dumps` writes it, and what scientific code puts in it besides.

What `json` knows by itself goes straight to its encoder in C. Only where that gives up is the value walked
through in Python, to write what is unusual (a NumPy key, NaN) or to say where that stands which cannot be
written.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np

from inference_gateway.errors import InvalidModelOutput
from inference_gateway.payload.element import as_array

_SHOWN_KEY = 40  # characters; longer keys are not shown in a path


def json_text(value: dict[Any, Any]) -> tuple[str, Sequence[str]]:
    """Return the JSON, and the paths where null stands for NaN or an infinity (RFC 8259 §6 has neither).

    Raises `InvalidModelOutput` with path and type of what cannot be written.
    """
    try:
        return _encode(value), ()
    except (TypeError, ValueError, RecursionError):
        walk = _Walk()
    try:
        return json.dumps(walk.plain(value, "")), walk.not_finite
    except RecursionError:
        raise InvalidModelOutput("the JSON is nested too deep, or contains itself") from None


def _plain(value: Any) -> Any:
    """Return what stands in the JSON for a value of a type that `json` does not know.

    Raises `TypeError` for a type that has no such form, `ValueError` for a value that has none.
    """
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return float(value)
    pydicom = sys.modules.get("pydicom")
    if pydicom is not None and isinstance(value, pydicom.multival.MultiValue):
        return list(value)
    if pydicom is not None and isinstance(value, pydicom.valuerep.PersonName):
        return str(value)
    array: Any = value
    if not isinstance(value, np.ndarray | np.generic):
        array = as_array(value)
        if array is None or array.dtype.hasobject:  # a pydicom Dataset has this form, too
            raise TypeError
    if array.dtype.kind in "cm":  # complex numbers, time spans
        raise TypeError
    if array.dtype.kind == "M":
        return np.datetime_as_string(array).tolist()
    return array.astype(float).tolist() if array.dtype.char == "g" else array.tolist()


_encode = json.JSONEncoder(default=_plain, allow_nan=False).encode


class _Walk:
    """Goes through a value; `not_finite` has the paths of the NaNs and infinities that it met."""

    def __init__(self) -> None:
        self.not_finite: list[str] = []

    def plain(self, value: Any, path: str) -> Any:
        """Return the value with nothing in it that `json` does not know. Raises `InvalidModelOutput`."""
        if isinstance(value, dict):
            return self._plain_dict(value, path)
        if isinstance(value, list | tuple):
            return [self.plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                self.not_finite.append(path)
                return None
            return value
        try:
            if isinstance(value, int):
                return _written(value, path)
            value_in_json = _plain(value)
        except (TypeError, ValueError) as error:
            raise InvalidModelOutput(
                f"the JSON cannot be written: {path}: {type(value).__name__} "
                "(write numbers, strings, lists and dicts)"
            ) from error
        return self.plain(value_in_json, path)

    def _plain_dict(self, value: dict[Any, Any], path: str) -> dict[Any, Any]:
        plain = {}
        for key, item in value.items():
            # A key may be anybody's data: only what looks like a name is shown.
            shown = isinstance(key, str) and key.isascii() and key.isidentifier() and len(key) <= _SHOWN_KEY
            name = key if shown else "*"
            plain[_plain_key(key, path)] = self.plain(item, f"{path}.{name}" if path else name)
        if len(plain) < len(value):
            raise InvalidModelOutput(f"the JSON cannot be written: {_place(path)} has the same key twice")
        return plain


def _written(value: int, path: str) -> int:
    """Return an integer that Python writes. Raises `InvalidModelOutput` for one of too many digits."""
    try:
        int.__repr__(value)
    except ValueError:
        raise InvalidModelOutput(
            f"the JSON cannot be written: {path}: an integer of over {sys.get_int_max_str_digits()} digits"
        ) from None
    return value


def _plain_key(key: Any, path: str) -> Any:
    """Return a key that `json` knows. Raises `InvalidModelOutput` where there is none."""
    plain = key
    while not (plain is None or isinstance(plain, str | int | float)):
        try:
            plain = _plain(plain)
        except (TypeError, ValueError) as error:
            raise InvalidModelOutput(
                f"the JSON cannot be written: {_place(path)} has a key of type {type(key).__name__} "
                "(write strings)"
            ) from error
    return plain


def _place(path: str) -> str:
    return path or "its outermost object"
