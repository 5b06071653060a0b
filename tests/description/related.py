"""What schemathesis does not know by itself: how multipart/related is written and read.

It loads this file as its hooks. Part by part the body is what the document says: `request` first, as JSON,
then each image as it is. What the wire cannot express, such as one without `request`, has no part at all:
parts have no names, so that the first image would be taken for the JSON.
"""

import json
from typing import Any

import schemathesis

BOUNDARY = "schemathesis-made-this"
HEADERS = {"Content-Type": f"multipart/related; boundary={BOUNDARY}"}


def write(context: Any, value: Any) -> Any:
    return framed(value)


def framed(value: Any) -> bytes:
    parts = []
    if isinstance(value, dict) and "request" in value and isinstance(value.get("image", []), list):
        parts.append(json.dumps(plain(value["request"])).encode())
        parts.extend(map(as_bytes, value.get("image", [])))
    framing = b"--" + BOUNDARY.encode()
    return b"".join(framing + b"\r\n\r\n" + part + b"\r\n" for part in parts) + framing + b"--\r\n"


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    data = getattr(value, "data", value)
    return data if isinstance(data, bytes) else str(value).encode("utf-8", "surrogatepass")


def before_call(context: Any, case: Any, kwargs: Any) -> None:
    if case.media_type == "multipart/related":
        case.headers = {**(case.headers or {}), **HEADERS}


def read(context: Any, response: Any) -> Any:
    boundary = response.headers["content-type"][0].partition("boundary=")[2].encode()
    found = {}
    for part in response.content.split(b"--" + boundary)[1:-1]:
        head, _, body = part.removesuffix(b"\r\n").partition(b"\r\n\r\n")
        name = head.partition(b'name="')[2].partition(b'"')[0].decode()
        found[name] = json.loads(body) if name == "json-body" else body.decode("latin-1")
    return found


# Not as decorators: where schemathesis is not installed, nothing is known of their types.
schemathesis.serializer("multipart/related")(write)
schemathesis.deserializer("multipart/related")(read)
schemathesis.hook(before_call)
