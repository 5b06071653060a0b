"""What names a request: its id and its place in a trace, as its caller gave them or new.

What a caller gives is input, and enters log lines. So it is taken only where it has the form of an id, whole
and once; else it is as if nothing had come, and new ids are made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

# Sixty-four characters hold every id in use (UUIDs, hexadecimal digits, ULIDs, KSUIDs), and none of these
# characters means anything in a log line, a header or JSON. One of them has to be a letter: a number may be a
# patient's or a study's (accession number), and digits with dots may be a DICOM UID (PS3.5 §9.1).
_REQUEST_ID = re.compile(rb"(?=[0-9._-]*[A-Za-z])[A-Za-z0-9._-]{1,64}")

# W3C Trace Context §3.2: version, trace-id, parent-id, flags. Later versions may append to that (§3.2.4).
_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?"
)
_SAMPLED = 0x01

# Ib. §3.3: key and value of a member. More than is asked of everybody to pass on is not passed on.
_MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
_MOST_MEMBERS = 32
_LONGEST_STATE = 512


class TraceContext(NamedTuple):
    """A place in a trace (W3C Trace Context): whose child a span is.

    `trace_id`: 32 hexadecimal digits, `span_id`: 16, lower case. `sampled`: the span is recorded. `state`:
    the value of `tracestate`, which other vendors read; empty where there is none.
    """

    trace_id: str
    span_id: str
    sampled: bool = False
    state: str = ""

    @property
    def traceparent(self) -> str:
        """Return it as a value of the header `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


class Identity(NamedTuple):
    """What names a request. `trace`: its own place in a trace; `parent`: the caller's, where it gave one."""

    request_id: str
    trace: TraceContext
    parent: TraceContext | None = None


def identify(headers: Iterable[tuple[bytes, bytes]]) -> Identity:
    """Return what names a request with these header fields, whose names are in lower case."""
    ids: list[bytes] = []
    parents: list[bytes] = []
    for name, value in headers:
        if name == b"x-request-id":
            ids.append(value)
        elif name == b"traceparent":
            parents.append(value)
    given = _given_id(ids) if ids else None
    parent = _parent(parents, headers) if parents else None
    fresh = new_request_id()
    if parent is not None:
        trace_id = parent.trace_id
    else:  # one id for both, where both are new: one word to search for
        trace_id = fresh if given is None else new_request_id()
    return Identity(given or fresh, TraceContext(trace_id, new_span_id()), parent)


def _given_id(values: list[bytes]) -> str | None:
    found = _REQUEST_ID.fullmatch(values[0]) if len(values) == 1 else None
    return None if found is None else found[0].decode("ascii")


def _parent(values: list[bytes], headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    found = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if found is None or (found[1] == b"00" and found[5] is not None):
        return None
    state = _state([value.decode("latin-1") for name, value in headers if name == b"tracestate"])
    flags = int(found[4], 16)
    trace_id, span_id = found[2].decode("ascii"), found[3].decode("ascii")
    return TraceContext(trace_id, span_id, bool(flags & _SAMPLED), state)


def _state(values: list[str]) -> str:
    """Return the whole `tracestate`, empty where something of it is not well-formed."""
    members = [member.strip(" \t") for value in values for member in value.split(",")]
    found = [_MEMBER.fullmatch(member) for member in members if member]
    keys = {each[1] for each in found if each is not None}
    state = ",".join(filter(None, members))
    fits = len(keys) == len(found) <= _MOST_MEMBERS and len(state) <= _LONGEST_STATE
    return state if fits else ""


def new_request_id() -> str:
    """Return a fresh random id, 32 hexadecimal digits.

    The answer, the log and `current_request()` know a request by it.
    """
    if not _ids:  # a hundred at a time: asking the kernel costs more than the rest of a small request's log
        digits = os.urandom(16 * 128).hex()
        _ids.extend(digits[start : start + 32] for start in range(0, len(digits), 32))
    return _ids.pop()


def new_span_id() -> str:
    """Return a fresh random id of a span, 16 hexadecimal digits."""
    return new_request_id()[16:]


_ids: list[str] = []
os.register_at_fork(after_in_child=_ids.clear)
