"""The root part (RFC 2387 §3.2): JSON in the request's charset."""

from __future__ import annotations

import codecs
import encodings.aliases
import json
import pkgutil
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from inference_gateway.errors import InvalidContentType, InvalidRootPart

# Deeper JSON is refused: the parser's own limit depends on how deep the stack happens to be.
_MAX_JSON_DEPTH = 500

# Python's text codecs that are no charsets.
_NOT_CHARSETS = frozenset(
    {"charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}
)


def parse_json(data: bytes, charset: str) -> Any:
    """Read the root part's JSON as Python's `json` does (NaN, repeated keys and all).

    Raises `InvalidRootPart` where it is not valid in `charset`, begins with a byte order mark, is nested
    deeper than 500, or has an integer too long to read.
    """
    try:
        value = json.loads(data.decode(charset))
    except RecursionError:
        raise InvalidRootPart("the root part's JSON is nested too deep") from None
    except ValueError:  # UnicodeError, JSONDecodeError, an integer over sys.get_int_max_str_digits()
        raise InvalidRootPart(
            "the root part is not valid JSON in the request's charset (utf-8 unless declared)"
        ) from None
    if data.count(b"[") + data.count(b"{") > _MAX_JSON_DEPTH and _deeper_than(value, _MAX_JSON_DEPTH):
        raise InvalidRootPart("the root part's JSON is nested too deep")
    return value


def _deeper_than(value: Any, depth: int) -> bool:
    """Tell whether lists and dicts are nested deeper than `depth`; level by level, not by recursion."""
    level: list[Any] = [value]
    for _ in range(depth + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        level = [inner for item in containers for inner in _inner(item)]
        if not containers:
            return False
    return True


def _inner(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


# Normalized names of all codecs. Only these are looked up: Python remembers each name that it ever failed
# to find, and a client could fill the memory with them.
_CODEC_NAMES = frozenset(encodings.aliases.aliases) | {
    module.name for module in pkgutil.iter_modules(encodings.__path__)
}


@lru_cache(maxsize=64)
def codec_name(name: str) -> str:
    """Return the codec's name for a charset; raise `InvalidContentType` for what is none."""
    normalized = encodings.normalize_encoding(name).lower()
    if normalized in _CODEC_NAMES:
        try:
            codec = codecs.lookup(normalized)
        except LookupError:  # a module of the package that is no codec, or not on this platform
            codec = None
        if codec and codec._is_text_encoding and codec.name.replace("-", "_") not in _NOT_CHARSETS:  # noqa: SLF001 - what `bytes.decode` itself asks
            return codec.name
    raise InvalidContentType("invalid content-type: the charset is unknown")
