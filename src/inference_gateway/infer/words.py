"""Numbers of things in words, for a person."""

from __future__ import annotations

from collections.abc import Iterable


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return `1 element`, `2 elements`; `many`: what more than one is called, by default with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def listed(counts: Iterable[tuple[int, str, str | None]]) -> list[str]:
    """Return of (number, one, many) what there is any of."""
    return [counted(*count) for count in counts if count[0]]
