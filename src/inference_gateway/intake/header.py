"""What a request's header says of its body."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from starlette.types import Scope

from inference_gateway.errors import (
    BadRequest,
    InvalidContentType,
    LimitExceeded,
    MultipartError,
    UnsupportedEncoding,
)
from inference_gateway.multipart import check_boundary, parse_media_type
from inference_gateway.payload.root_part import codec_name
from inference_gateway.settings import Settings

_OF_BODY = frozenset({b"content-type", b"content-encoding", b"transfer-encoding", b"content-length"})


def read_header(scope: Scope, settings: Settings) -> tuple[RequestType, int]:
    """Read what the request's header says of its body: how to read it, and its length, 0 if not declared.

    Raises `InvalidContentType`, `UnsupportedEncoding` or `LimitExceeded`.
    """
    values: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        name = name.lower()
        if name in _OF_BODY:
            values.setdefault(name, []).append(value)
    request_type = RequestType.parse([value.decode("latin-1") for value in values.get(b"content-type", ())])
    if b"content-encoding" in values:
        raise UnsupportedEncoding("the request has a Content-Encoding: send the body as it is")
    codings = [value.strip(b" \t").lower() for value in values.get(b"transfer-encoding", ())]
    if codings and codings != [b"chunked"]:
        raise UnsupportedEncoding("the request has a Transfer-Encoding other than chunked")
    digits = values.get(b"content-length", [b"0"])[-1].strip(b" \t")
    if not digits.isdigit():
        raise BadRequest("the Content-Length is not a number")
    length = int(digits.lstrip(b"0")[:20] or b"0")  # more digits are as much too many
    if length > settings.max_body_bytes:
        raise LimitExceeded(f"the body is larger than the limit of {settings.max_body_bytes} bytes")
    return request_type, length


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request has content (RFC 9112 §6), an empty one aside."""
    fields = {name.lower(): value for name, value in headers}
    return b"transfer-encoding" in fields or fields.get(b"content-length", b"0").strip(b"0 \t") != b""


def subject_of(scope: Scope) -> str | None:
    """Return the subject of the certificate that the client has shown, by ASGI's TLS extension (RFC 4514)."""
    name = scope.get("extensions", {}).get("tls", {}).get("client_cert_name")
    return name if isinstance(name, str) else None


class RequestType(NamedTuple):
    """What the request's Content-Type says (RFC 2387 §3): how to read the body."""

    boundary: bytes
    charset: str
    start: str | None

    @classmethod
    def parse(cls, values: Sequence[str]) -> RequestType:
        """Read the values of all Content-Type headers of the request. Raises `InvalidContentType`."""
        if len(values) != 1:
            raise InvalidContentType(
                "invalid content-type: send exactly one Content-Type header, multipart/related; boundary=..."
            )
        essence = values[0].partition(";")[0].strip(" \t").lower()
        if essence != "multipart/related":
            raise InvalidContentType("invalid content-type: send multipart/related; boundary=...")
        try:
            parameters = parse_media_type(values[0]).parameters
            if "boundary" not in parameters:
                raise InvalidContentType("invalid content-type: the boundary parameter is missing")
            boundary = check_boundary(parameters["boundary"])
        except MultipartError as error:
            raise InvalidContentType(f"invalid content-type: {error.detail}") from None
        charset = codec_name(parameters.get("charset", "utf-8"))
        return cls(boundary, charset, parameters.get("start"))
