"""Rules of RFC 9112 for a request's header that the parser does not hold.

A server that lets such a request pass may read another message than a proxy in front of it: the two disagree
on where it ends, or for whom it is (request smuggling).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

# RFC 9110 §7.2, RFC 3986 §3.2.2: reg-name or IPv4 address, or a literal in brackets; a port.
_HOST = re.compile(
    rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*"
    rb"|\[(?:([0-9A-Fa-f:.]+)|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\])(?::[0-9]*)?"
)


def broken_rule(version: str, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return what is wrong with a request, as a sentence; None where nothing is.

    `version`: as the parser has it, such as "1.1". `headers`: names in lower case, and values.
    """
    if version not in ("1.1", "1.0"):  # 0.9 has no version in its request line
        return "the request is not HTTP/1.1"
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1:
        return "the request has more than one Host header"
    if not hosts and version == "1.1":  # RFC 9112 §3.2
        return "the request has no Host header"
    if hosts and not _is_host(hosts[0]):
        return "the Host header is malformed"
    if version == "1.0" and any(name == b"transfer-encoding" for name, _ in headers):  # RFC 9112 §6.1
        return "a request in HTTP/1.0 cannot have a Transfer-Encoding"
    return None


@lru_cache(16)  # a server is known by few names
def _is_host(value: bytes) -> bool:
    match = _HOST.fullmatch(value.strip(b" \t"))
    if match is None or match[1] is None:
        return match is not None
    try:
        IPv6Address(match[1].decode())
    except AddressValueError:
        return False
    return True
