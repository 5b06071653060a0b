"""What TLS tells of a connection, as ASGI's TLS extension has it; above all who the client is."""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any

# Short names of RFC 4514 §3; of others the name that OpenSSL has.
_SHORT = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}

Subject = tuple[tuple[tuple[str, str], ...], ...]


def tls_extension(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """Return what a scope's `extensions` has as `tls`. The name is that of a verified certificate."""
    connection: ssl.SSLObject = transport.get_extra_info("ssl_object")
    whole = connection.getpeercert(True)
    subject: Any = (connection.getpeercert() or {}).get("subject")
    return {
        "server_cert": None,
        "client_cert_chain": [] if whole is None else [ssl.DER_cert_to_PEM_cert(whole)],
        "client_cert_name": distinguished_name(subject) if subject else None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(connection.version() or ""),
        "cipher_suite": None,
    }


def distinguished_name(subject: Subject) -> str:
    """Write a subject, as `getpeercert` gives it, in the form of RFC 4514: the last part of it first."""
    return ",".join(
        "+".join(f"{_SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in part)
        for part in reversed(subject)
    )


def _escaped(value: str) -> str:
    """RFC 4514 §2.4; control characters by their code, so that the name fits a line."""
    escaped = re.sub(r'([,+"\\<>;])', r"\\\1", value)
    escaped = re.sub(r"^([ #])|( )$", r"\\\g<0>", escaped)
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\{ord(found[0]):02x}", escaped)
