"""The design that the gateway replaces: Flask, and the whole body in memory several times over."""

import hashlib
import io
import json
from typing import Any

from counting import model
from flask import Flask, Response, request
from requests_toolbelt import MultipartDecoder, MultipartEncoder

app = Flask(__name__)


@app.get("/ping")
def ping() -> str:
    return "up"


@app.post("/")
def infer() -> Response:
    parts = MultipartDecoder(request.get_data(), request.content_type).parts
    input_digest = hashlib.sha256()
    for part in parts:
        input_digest.update(part.content)
    inputs = [io.BytesIO(part.content) for part in parts[1:]]
    answer, elements = model(json.loads(parts[0].text), inputs, input_digest.hexdigest())
    return encode(answer, [as_bytes(element) for element in elements], input_digest.hexdigest())


def as_bytes(element: Any) -> bytes:
    return element.tobytes() if hasattr(element, "tobytes") else b"".join(element)


def encode(answer: dict[str, Any], elements: list[bytes], input_hash: str) -> Response:
    json_bytes = json.dumps(answer).encode()
    output_digest = hashlib.sha256(json_bytes)
    fields: dict[str, Any] = {"json-body": ("json-body", json_bytes, "application/json")}
    for index, element in enumerate(elements):
        output_digest.update(element)
        fields[f"elem_{index}"] = (f"elem_{index}", element, "application/binary")
    fields["hashes"] = ("hashes", f"{input_hash}:{output_digest.hexdigest()}", "text/plain")
    encoder = MultipartEncoder(fields)
    return Response(encoder.to_string(), content_type=f"multipart/related; boundary={encoder.boundary_value}")
