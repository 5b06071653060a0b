"""Header fields, media types and their parameters: the small grammars around the parts.

`str` and `bytes` in, values or `MultipartError` out. What decides how a message is read (the request's
Content-Type) is read strictly; what is metadata only (a part's Content-Disposition) is read leniently and
never fails.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar, overload
from urllib.parse import unquote_to_bytes

from inference_gateway.errors import MultipartError

T = TypeVar("T")

# RFC 9110 §5.6.2: token. Field names and parameter names are tokens.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# RFC 2046 §5.1.1: boundary := 0*69<bchars> bcharsnospace. Orthanc sends 73 characters: 200 is the limit here.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,199}[0-9A-Za-z'()+_,\-./:=?]")

# One parameter: a name, "=", and a quoted-string (RFC 9110 §5.6.4) or anything visible without quote or
# semicolon: clients leave "=", "/" and ":" unquoted.
_PARAMETER = re.compile(
    r"""(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)
        =
        (?: "(?P<quoted> (?: [^"\\\x00-\x08\x0a-\x1f\x7f] | \\[^\x00-\x08\x0a-\x1f\x7f] )*+ )"
          | (?P<plain> [!#-:<-~]+ ) )""",
    re.VERBOSE,
)
# One parameter of a Content-Disposition, as loosely as clients write them.
_LENIENT_PARAMETER = re.compile(r';[ \t]*([^=;"\s]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;"]*))')
_BLANKS = " \t"

# Parameters that steer how the message is read: their extended forms (RFC 2231 `name*`) would too.
_STEERING = ("boundary", "charset", "start")

# Fields of a part that must not be repeated: two values would leave a choice.
_SINGULAR = (
    "Content-Type",
    "Content-Disposition",
    "Content-ID",
    "Content-Length",
    "Content-Transfer-Encoding",
)

# Names of the standards (RFC 2045, 2183, 2387, 2557, 9110), which errors may say. No other name that came is
# ever repeated: it may be anything.
_FIELD_NAMES = {
    name.lower(): name
    for name in (*_SINGULAR, "Content-Encoding", "Content-Description", "Content-Location", "MIME-Version")
}
_PARAMETER_NAMES = frozenset({*_STEERING, "type", "start-info"})
_LEADING_TOKEN = re.compile(rf"[ \t]*({_TOKEN.pattern})")


class Headers(Mapping[str, str]):
    """The header fields of one part: names without regard to case, in order of arrival.

    A field that came more than once reads as its values joined with a comma (RFC 9110 §5.3); `fields` has
    them one by one. The representation shows no value: it may end up in a log.
    """

    __slots__ = ("_values", "fields")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self.fields = tuple(fields)
        self._values: dict[str, str] = {}
        for name, value in self.fields:
            name = name.lower()
            before = self._values.get(name)
            self._values[name] = value if before is None else f"{before}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str | T) -> str | T: ...
    def get(self, name: str, /, default: object = None) -> object:
        """Return the field's value, or `default`. A `Mapping` raises and catches where there is none."""
        return self._values.get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self.fields == other.fields if isinstance(other, Headers) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.fields)

    def __repr__(self) -> str:
        return f"<Headers: {len(self.fields)} fields>"


def parse_header_line(line: bytes, before: Sequence[tuple[str, str]] = ()) -> tuple[str, str]:
    """Read one header line without its CRLF: field name as sent, value without the blanks around it.

    `before`: the fields before it. Raises `MultipartError` where the line goes on with the one before
    (folded, RFC 9112 §5.2), has no colon, a name that is not a token, a value that is not UTF-8 or has a
    control character other than tab.
    """
    if line.startswith((b" ", b"\t")):
        field = _field(before[-1][0] if before else "")
        raise MultipartError(f"{field} is folded: send each header on one line")
    raw_name, colon, raw_value = line.partition(b":")
    name = raw_name.decode("latin-1")
    if not colon:
        raise MultipartError(f"{_field(name)} has no colon, or the empty line after the headers is missing")
    if not _TOKEN.fullmatch(name):
        raise MultipartError(f"{_field(name)} has an empty or malformed name")
    try:
        value = raw_value.strip(b" \t").decode("utf-8")
    except UnicodeDecodeError:
        raise MultipartError(f"{_field(name)} has a value that is not UTF-8") from None
    if not value.isprintable() and any(unicodedata.category(c) == "Cc" and c != "\t" for c in value):
        raise MultipartError(f"{_field(name)} has a control character in its value")
    return name, value


def _field(text: str) -> str:
    """Return how an error calls the header field that `text` begins with: by name if it is of a standard."""
    name = _FIELD_NAMES.get(_leading_token(text))
    return f"the {name} header of a part" if name else "a part header"


def _parameter(text: str) -> str:
    """Return how an error calls the parameter that `text` begins with: by name if it is of a standard."""
    name = _leading_token(text).partition("*")[0]
    return f"the {name} parameter" if name in _PARAMETER_NAMES else "a parameter"


def _leading_token(text: str) -> str:
    match = _LEADING_TOKEN.match(text)
    return match[1].lower() if match else ""


def check_repeated(headers: Headers) -> None:
    """Raise `MultipartError` where a field that must be single is repeated (RFC 2045 §3)."""
    if len(headers) < len(headers.fields):
        names = [name.lower() for name, _ in headers.fields]
        for name in _SINGULAR:
            if names.count(name.lower()) > 1:
                raise MultipartError(f"a part repeats its {name} header, which may occur only once")


class MediaType(NamedTuple):
    """A media type with its parameters (RFC 2045 §5.1): names in lower case, values unquoted."""

    essence: str
    parameters: Mapping[str, str]


def parse_media_type(value: str) -> MediaType:
    """Read `type/subtype; name=value; name="value"`.

    Strict: raises `MultipartError` for a parameter that is repeated, has no name or no value, has
    blanks around its `=`, quotes that do not end or text after them, and for the extended form (RFC 2231)
    of a parameter that steers the reading. Empty parameters (`;;`, a semicolon at the end) are skipped, as
    RFC 9110 §5.6.6 has it.
    """
    essence, semicolon, rest = value.strip(_BLANKS).partition(";")
    essence = essence.rstrip(_BLANKS).lower()
    parameters: dict[str, str] = {}
    while semicolon:
        rest = rest.lstrip(_BLANKS)
        if rest[:1] in ("", ";"):
            rest, semicolon = rest[1:], rest[:1]
            continue
        match = _PARAMETER.match(rest)
        tail = rest[match.end() :].lstrip(_BLANKS) if match else ""
        if match is None or tail[:1] not in ("", ";"):
            raise MultipartError(f'{_parameter(rest)} is malformed, write name=value or name="value"')
        name, quoted = match["name"].lower(), match["quoted"]
        text = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if name.partition("*")[0] in _STEERING and "*" in name:
            raise MultipartError(f"{_parameter(name)} is not accepted in its extended form (name*)")
        if name in parameters:
            raise MultipartError(f"{_parameter(name)} is given twice")
        if not text:
            raise MultipartError(f"{_parameter(name)} has no value")
        parameters[name] = text
        rest, semicolon = tail[1:], tail[:1]
    return MediaType(essence, parameters)


def check_boundary(boundary: str) -> bytes:
    """Return the boundary as bytes.

    Raises `MultipartError` unless it is 1 to 200 characters of RFC 2046's set (§5.1.1) and ends in no space.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise MultipartError(
            "the boundary must have 1 to 200 characters of RFC 2046's set and not end in a space"
        )
    return boundary.encode("ascii")


def filename_of(headers: Headers) -> str | None:
    """Return the last path component of Content-Disposition's filename (RFC 2183 §2.3), or None.

    `filename*` (RFC 5987) goes before `filename`. Metadata only: no value of any form makes this fail.
    """
    found: dict[str, str] = {}
    for match in _LENIENT_PARAMETER.finditer(";" + headers.get("content-disposition", "")):
        name, quoted, plain = match[1].lower(), match[2], match[3]
        found.setdefault(name, plain.strip() if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted))
    name = found.get("filename", "")
    charset, _, rest = found.get("filename*", "").partition("'")
    if rest and charset.lower() in ("utf-8", "iso-8859-1"):
        name = unquote_to_bytes(rest.partition("'")[2]).decode(charset, errors="replace")
    name = re.split(r"[/\\]", name)[-1]
    return name if name.strip(". ") and name.isprintable() else None
