"""Typed values out of a dataset that may be wrong: what cannot be read is absent, never an exception.

Attributes of a multi-frame image are looked up in its functional groups (PS3.3 C.7.6.16) before the top
level: the frame's own group first, then the shared one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydicom import DataElement, Dataset, Sequence


def text(dataset: Dataset, keyword: str) -> str:
    """Return the value of `keyword` as text without padding, "" where it is absent or empty."""
    value = _value(dataset, keyword)
    return "" if value is None else str(value).strip(" \0")


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of `keyword` as text without padding, () where it is absent or empty."""
    value = _value(dataset, keyword)
    if value is None:
        return ()
    single = isinstance(value, str | bytes) or not hasattr(value, "__iter__")
    return tuple(str(one).strip(" \0") for one in ([value] if single else value))


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return the first `count` numbers of `keyword`, None where there are fewer or one is not finite."""
    found = all_numbers(dataset, keyword, count)
    return found if found is not None and len(found) == count else None


def all_numbers(dataset: Dataset, keyword: str, most: int | None = None) -> tuple[float, ...] | None:
    """Return the numbers of `keyword`, `most` at most, None where there is none or one is not finite."""
    value = _value(dataset, keyword)
    single = isinstance(value, str | bytes) or not hasattr(value, "__iter__")
    try:
        found = tuple(float(one) for one in ([value] if single else list(value))[:most])
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found and all(map(math.isfinite, found)) else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of `keyword` as a finite number, None where there is none."""
    found = numbers(dataset, keyword, 1)
    return None if found is None else found[0]


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Return the first value of `keyword` as an integer, None where there is none."""
    found = number(dataset, keyword)
    return None if found is None else int(found)


def items(dataset: Dataset, keyword: str) -> Sequence | list[Dataset]:
    """Return the items of the sequence `keyword`, an empty list where it is absent or no sequence."""
    value = _value(dataset, keyword)
    return value if isinstance(value, Sequence) else []


def frame_macro(dataset: Dataset, frame_number: int, sequence: str) -> Iterator[Dataset]:
    """Yield the datasets that may describe a frame, the most specific first, the image itself last.

    `frame_number` counts from 1; `sequence` is the keyword of the functional group macro's sequence, such as
    `PlanePositionSequence`.
    """
    own = items(dataset, "PerFrameFunctionalGroupsSequence")[frame_number - 1 : frame_number]
    shared = items(dataset, "SharedFunctionalGroupsSequence")[:1]
    for group in [*own, *shared]:
        yield from items(group, sequence)[:1]
    yield dataset


def frame_numbers(
    dataset: Dataset, frame_number: int, sequence: str, keyword: str, count: int
) -> tuple[float, ...] | None:
    """Return `count` numbers of `keyword` for the frame `frame_number`, None where they are given nowhere."""
    for group in frame_macro(dataset, frame_number, sequence):
        found = numbers(group, keyword, count)
        if found is not None:
            return found
    return None


def element(dataset: Dataset, keyword: str) -> DataElement | None:
    """Return the element `keyword` as it is, None where it is absent or cannot be converted."""
    try:
        return dataset[keyword]
    except Exception:  # as in `_value`
        return None


def _value(dataset: Dataset, keyword: str) -> Any:
    """Return the converted value of `keyword`, None where it is absent or cannot be converted."""
    try:
        return dataset.get(keyword)
    except Exception:  # pydicom converts on access, and its converters raise whatever they trip over
        return None
