"""All checks in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Iterator

from inference_gateway.check import content, framing, refusals, routes
from inference_gateway.check.verdict import Check, Finding, Subject

CHECKS: tuple[Check, ...] = (*routes.CHECKS, *framing.CHECKS, *content.CHECKS, *refusals.CHECKS)


def run_checks(subject: Subject) -> Iterator[Finding]:
    """Yield what comes of each check, as it comes."""
    for check in CHECKS:
        yield check.run(subject)
