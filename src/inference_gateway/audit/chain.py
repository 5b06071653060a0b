"""The form of an audit line, and how each line carries the hash of the one before.

A line is a JSON object in ASCII that begins with `number`, `previous` and `event`, and ends with `hash`:
the SHA-256 of all its bytes before `,"hash":`. `previous` is the `hash` of the line before, and so every
hash stands for all that came before it (docs/audit.md).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

NOTHING = "0" * 64
"""`previous` of a chain's first line."""

MOST_BYTES = 16 << 10
"""A line has fewer: what is in it is bounded."""

_LINE = re.compile(
    rb'(\{"number":(\d{1,18}),"previous":"([0-9a-f]{64})","event":"([a-z]+)"[^\n]*),"hash":"([0-9a-f]{64})"\}'
)


@dataclass(frozen=True)
class Link:
    """What the chain needs of a line. `text`: its JSON."""

    number: int
    previous: str
    event: str
    hash: str
    text: bytes

    def fields(self) -> dict[str, Any]:
        """Return all that the line says."""
        found: dict[str, Any] = json.loads(self.text)
        return found


def sealed(entry: str, number: int, previous: str) -> tuple[bytes, str]:
    """Return the line of `entry`, a JSON object in ASCII that begins with its `event`, and its hash."""
    covered = f'{{"number":{number},"previous":"{previous}",{entry[1:-1]}'.encode("ascii")
    digest = hashlib.sha256(covered).hexdigest()
    return b'%s,"hash":"%s"}\n' % (covered, digest.encode()), digest


def link_of(line: bytes) -> Link | None:
    """Return what a line, without its line feed, is in the chain; None where it is not as it was written."""
    found = _LINE.fullmatch(line)
    if found is None or hashlib.sha256(found[1]).hexdigest().encode() != found[5]:
        return None
    return Link(int(found[2]), found[3].decode(), found[4].decode(), found[5].decode(), line)
