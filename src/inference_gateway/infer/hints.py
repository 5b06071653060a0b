"""What to do where a call failed, in terms of the command's options."""

from __future__ import annotations

import errno

import httpx

from inference_gateway.caller.key import HEADER, VARIABLE
from inference_gateway.caller.tls import Handshake, handshake, remedy, speaks_tls
from inference_gateway.errors import REFUSED_TYPE, GatewayUnreachable, ProblemAnswer

_START = "`inference-gateway serve my_model:model` starts one; --host, --port and --url say where it is."


def refuser(error: ProblemAnswer) -> str:
    """Return who it was that refused: a model may do so, by its own sentence."""
    return "the model" if error.type == REFUSED_TYPE else "the gateway"


def hint_on_refusal(error: ProblemAnswer, url: str, *, with_key: bool) -> str:
    """Return a sentence on an answer that is no result; empty where it says enough itself. May connect."""
    if error.status == 401 and with_key:
        return f"The key that was sent, of {VARIABLE} or --header, is none of the gateway's."
    if error.status == 401:
        return f"Give a key in the environment, {VARIABLE}, or by --header '{HEADER}: KEY'."
    if error.status == 400 and error.request_id is None:  # by another than the gateway
        return _hint_on_tls(url)
    return ""


def hint_on_no_answer(error: GatewayUnreachable, url: str, *, with_certificate: bool) -> str:
    """Return a sentence on a gateway that was not reached. May connect."""
    if handshake(error) is Handshake.PLAIN:
        return f"Try --url {_with_scheme(url, 'http')}"
    if hint := remedy(error) or _hint_on_tls(url):
        return hint
    if error.sent and httpx.URL(url).scheme == "https" and not with_certificate:
        return "It may want a certificate of yours (mutual TLS): --cert and --key name one."
    return "" if error.sent else _START


def _hint_on_tls(url: str) -> str:
    """Return a sentence where plain HTTP was sent to a port at which TLS is spoken."""
    parts = httpx.URL(url)
    if parts.scheme != "http" or not speaks_tls(parts.host, parts.port or 80):
        return ""
    return f"The server speaks TLS at this port, not plain HTTP: try --url {_with_scheme(url, 'https')}"


def _with_scheme(url: str, scheme: str) -> str:
    """Return the same address in the other protocol; its port stays what it was, written or not."""
    parts = httpx.URL(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return str(parts.copy_with(scheme=scheme, port=port, userinfo=b""))


def why_no_file(error: OSError) -> str:
    """Return what cannot be read or written, and what to do; names of files may be those of a patient."""
    cause = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"there is no room left ({cause}): make some in the result folder and in the temp folder"
    return (
        f"a file of the study cannot be read, or one of the result cannot be written ({cause}): "
        "check that both are there and that you have the rights to them"
    )
