"""What is wrong with an answer: where, what came, what to write.

Nothing of a patient is in it: paths have the contract's own names, a key of the model's is `*`, and what came
is told by its type, size and shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

MOST_TOLD = 20
"""Faults of one answer that are told one by one; of more only the number is."""


class Fault(NamedTuple):
    """One fault.

    `rule`: what it breaks, by the names that `inference-gateway check` has. `path`: such as
    `parts[0].binary_data_shape.width`. `refused`: no client can read it, so it is not sent at all.
    """

    rule: str
    path: str
    came: str
    write: str
    refused: bool = False

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.path}: {self.came}; write {self.write}"


def told(faults: Sequence[Fault]) -> list[str]:
    """Return a line for each fault, at most `MOST_TOLD` and one that counts the rest."""
    lines = [str(fault) for fault in faults[:MOST_TOLD]]
    if len(faults) > MOST_TOLD:
        lines.append(f"and {len(faults) - MOST_TOLD} more faults in the answer")
    return lines


def kind_of(value: Any) -> str:
    """Return what a value of JSON is, in words that tell nothing of it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            return "text" if value else "empty text"
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return f"an object of {len(value)} keys"
    return "something else"


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as it is written in messages: `12 x 512 x 512`."""
    return " x ".join(map(str, shape))
