"""The API key that the environment gives to whoever calls a gateway."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

VARIABLE = "GATEWAY_API_KEY"
HEADER = "X-API-Key"

_KEY = re.compile(r"[!-~]+")


def environment_key() -> str | None:
    """Return the key in `GATEWAY_API_KEY`; None where it is not set or empty.

    Raises `ValueError` where it cannot be one; the message does not show it.
    """
    key = os.environ.get(VARIABLE, "").strip()
    if key and not _KEY.fullmatch(key):
        raise ValueError(f"{VARIABLE} is no key: a key is of visible ASCII characters, without blanks")
    return key or None


def key_header(key: str | None, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the header that carries a key; nothing where `headers` have one already.

    A header that somebody wrote goes before the environment: `X-API-Key`, or a bearer token (RFC 6750 §2.1).
    """
    return {} if key is None or has_key(headers) else {HEADER: key}


def has_key(headers: Iterable[tuple[str, str]]) -> bool:
    """Return whether a header is a key."""
    return any(_is_key(name.lower(), value) for name, value in headers)


def _is_key(name: str, value: str) -> bool:
    return name == HEADER.lower() or (name == "authorization" and value.lower().startswith("bearer "))
