"""A stand-in for the Flask gateway that this project replaces, on a real socket.

Flask and requests-toolbelt do what they did there, accidents included:

- The answer's boundary is the Python repr of the request's: `b'...'`, with the quotes.
- What goes into the output hash is `numpy.ascontiguousarray` of each element: of empty bytes that is one NUL.
- Elements beyond the entries of `parts`, and entries beyond the elements, are dropped without a word.
- An entry without a `binary_type` gets the one before it.
- Errors are plain text: a bad media type is echoed, everything else is `internal server error`.

`OldGateway` has the methods that an application called. `mock_server` is one with the error handler and the
health check that came with it; `serving_old` runs one. `old_request` frames a request as the old test tool
did.
"""

import functools
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from flask import Flask, Response, make_response, request
from requests_toolbelt import MultipartDecoder, MultipartEncoder
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.harness.raw import Address

OldModel = Callable[[Any, list[BytesIO], str], tuple[dict[str, Any], Iterable[Any]]]
"""What an application registered: JSON, inputs, input hash; gives JSON and elements."""

DICOM = frozenset({"dicom", "dicom_secondary_capture"})
ARRAYS = frozenset({"probability_mask", "heatmap", "numeric_label_mask", "boolean_mask"})
STOP_LIMIT = 30.0

logger = logging.getLogger("old_gateway")


class OldGateway(Flask):
    """The application class: `/ping` is there, the other routes are added."""

    def __init__(self, import_name: str = __name__) -> None:
        super().__init__(import_name)
        self.routes: dict[str, OldModel] = {}
        self.add_url_rule("/ping", "ping", _pong, methods=["GET", "POST"])

    def add_healthcheck_route(self, handler: Callable[[], Any]) -> None:
        self.add_url_rule("/healthcheck", "healthcheck", handler, methods=["GET", "POST"])

    def add_inference_route(self, route: str, model: OldModel) -> None:
        if route in self.routes:
            raise ValueError(f"Route {route} already maps to model {self.routes[route]}")
        self.routes[route] = model
        self.add_url_rule(route, route, functools.partial(_infer, model), methods=["POST"])


def _pong() -> Response:
    return make_response("inference-service is up and accepting connections", 200)


def _infer(model: OldModel) -> Response:
    # A request without a Content-Type fails here, as it did there.
    media_type = request.content_type
    if not media_type.startswith("multipart/related"):
        return make_response(f"invalid content-type {media_type}", 400)
    encoding = request.mimetype_params.get("charset", "utf-8")
    decoder = MultipartDecoder(content=request.get_data(), content_type=media_type, encoding=encoding)

    input_digest = hashlib.sha256()
    for part in decoder.parts:
        input_digest.update(part.content)
    input_hash = input_digest.hexdigest()

    inputs = [BytesIO(part.content) for part in decoder.parts[1:]]
    answer, elements = model(json.loads(decoder.parts[0].text), inputs, input_hash)
    text = json.dumps(answer)

    output_digest = hashlib.sha256(text.encode())
    for element in elements:
        output_digest.update(np.ascontiguousarray(element))  # type: ignore[arg-type]  # not a Buffer to 3.11's stubs

    fields = [_field("json-body", text, "application/json")]
    for i, (kind, data) in enumerate(_typed(answer["parts"], elements)):
        fields.append(_field(f"elem_{i}", data, kind))
    fields.append(_field("hashes", f"{input_hash}:{output_digest.hexdigest()}", "text/plain"))

    # The decoder's boundary is bytes; here and in the encoder it becomes its own repr.
    encoder = MultipartEncoder(fields, encoding=decoder.encoding, boundary=decoder.boundary)
    content_type = f"multipart/related; boundary={decoder.boundary}"
    return make_response(encoder.to_string(), 200, {"Content-Type": content_type})


def _typed(parts: list[dict[str, Any]], elements: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for part, element in zip(parts, elements, strict=False):
        try:
            binary_type = part["binary_type"]
        except KeyError:
            logger.error("No binary type")  # and on with the type of the entry before
        if binary_type in DICOM:
            yield "application/dicom", element
        elif binary_type in ARRAYS:
            yield "application/binary", element.tobytes()
        else:
            raise NotImplementedError(f"Binary type {binary_type} is not supported")


def _field(name: str, data: Any, media_type: str) -> tuple[str, tuple[str, Any, str]]:
    return name, (name, data, media_type)


def mock_server(model: OldModel, *, route: str = "/", health: str = "READY") -> OldGateway:
    """An application with one model, set up as the old mock server did it."""
    app = OldGateway()
    app.register_error_handler(Exception, lambda error: ("internal server error", 500))
    app.add_inference_route(route, model)
    app.add_healthcheck_route(lambda: make_response(health, 200))
    return app


@dataclass(frozen=True)
class RunningOldGateway:
    address: Address

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://{host}:{port}"


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """No access log."""


@contextmanager
def serving_old(app: Flask) -> Iterator[RunningOldGateway]:
    """Run it on werkzeug's threaded server, on a socket of 127.0.0.1, until the block ends."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    # A client may hold its connection open: its thread ends with the process, nobody waits for it.
    server.daemon_threads = True  # type: ignore[attr-defined]
    # The socket listens already, so a client may connect at once.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="old-gateway", daemon=True)
    thread.start()
    try:
        yield RunningOldGateway(("127.0.0.1", server.server_port))
    finally:
        server.shutdown()
        server.server_close()
        thread.join(STOP_LIMIT)
        assert not thread.is_alive(), "the old gateway did not stop"


def old_request(asked: Mapping[str, Any], files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The Content-Type and the body of the old test tool's request for JSON and files by name."""
    fields: list[Any] = [("request_json", ("request", json.dumps(asked).encode(), "text/json"))]
    for i, (name, data) in enumerate(files.items(), 1):
        fields.append((str(i), (name, data, "application/dicom")))
    encoder = MultipartEncoder(fields=fields)
    return f'multipart/related; boundary="{encoder.boundary_value}"', encoder.to_string()
