"""Certificates of a call, and what a failed handshake says: who speaks TLS where the other side does not."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

_SECONDS = 3.0  # for each step of the probe

# What OpenSSL says where the first bytes of an answer are no TLS record (RFC 8446 §5.1).
_NO_RECORD = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}


def tls_context(
    ca_certs: str | os.PathLike[str] | None = None,
    cert: str | os.PathLike[str] | None = None,
    key: str | os.PathLike[str] | None = None,
    *,
    default: Callable[[], ssl.SSLContext] = ssl.create_default_context,
) -> ssl.SSLContext:
    """Return what a connection trusts and shows.

    `ca_certs`: CA certificates, PEM, in place of those that `default` trusts: those of the system or of
    `SSL_CERT_FILE`. `cert`, `key`: the client's own certificate and its key, PEM; one file may have both.
    Raises `ValueError` where a file has none of it, or where there is a key without a certificate.
    """
    if key is not None and cert is None:
        raise ValueError("a key needs its certificate: name it with --cert")
    try:
        context = default() if ca_certs is None else ssl.create_default_context(cafile=ca_certs)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(
            f"the CA certificates cannot be used ({_reason(error)}): give a file of PEM"
        ) from None
    if cert is not None:
        try:
            context.load_cert_chain(cert, key)
        except OSError as error:
            raise ValueError(
                f"the client's certificate or its key cannot be used ({_reason(error)}): give both as PEM"
            ) from None
    return context


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return str(reason).lower().replace("_", " ")


class Handshake(Enum):
    """Why a handshake failed; its value is a sentence."""

    PLAIN = "the server speaks plain HTTP at this port, not TLS: its URL begins with http://"
    UNTRUSTED = "the certificate of the server is not trusted"
    WANTS_CERTIFICATE = "the server asks for a certificate of the client (mutual TLS)"
    ENDED = (
        "the server ended the TLS handshake: it may speak plain HTTP at this port (http://), "
        "or ask for a certificate of the client"
    )


def handshake(error: BaseException) -> Handshake | None:
    """Return why a handshake failed, None where it did not, or where it does not say.

    `error`: what came of the call; what it was raised from counts.
    """
    failure = _ssl_error(error)
    if failure is None:
        return None
    reason = failure.reason or ""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return Handshake.UNTRUSTED
    if reason in _NO_RECORD:
        return Handshake.PLAIN
    if "CERTIFICATE_REQUIRED" in reason:
        return Handshake.WANTS_CERTIFICATE
    if isinstance(failure, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Handshake.ENDED
    return None


def handshake_trouble(error: BaseException) -> str | None:
    """Return the same as a sentence, with what OpenSSL says of a certificate."""
    found, failure = handshake(error), _ssl_error(error)
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"{Handshake.UNTRUSTED.value} ({failure.verify_message or 'it does not fit'})"
    return found.value if found else None


def remedy(error: BaseException) -> str:
    """Return what to do about a failed handshake, in terms of the commands' options; empty where unknown."""
    match handshake(error):
        case Handshake.UNTRUSTED:
            return "--ca-certs or SSL_CERT_FILE name the certificates of its CA."
        case Handshake.WANTS_CERTIFICATE | Handshake.ENDED:
            return "--cert and --key name a certificate of yours."
    return ""


def _ssl_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def speaks_tls(host: str, port: int) -> bool:
    """Return whether TLS is spoken at a port. Blocks; sends nothing but a greeting.

    A TLS server often just hangs up on plain HTTP, and says nothing by which one could tell.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError), socket.create_connection((host, port), _SECONDS) as connection:
        try:
            context.wrap_socket(connection, server_hostname=host).close()
        except ssl.SSLError as error:
            return "_ALERT_" in (error.reason or "")  # a refusal, in the words of TLS
        return True
    return False
