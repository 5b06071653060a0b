"""Gateways on real sockets that are right but for one planted fault.

The right one is this package's own with a model that answers with everything there is. A fault is either a
change to that model's answer, or a change to what goes over the wire (`Rewritten`).
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference_gateway import Gateway, Settings
from inference_gateway.check.exchange import Target
from inference_gateway.check.run import CHECKS
from inference_gateway.check.study import Study, make_study
from inference_gateway.check.verdict import Check, Finding, Subject, Verdict
from inference_gateway.payload.part import Part
from tests.harness.server import serving
from tests.harness.wire import message, part

Json = dict[str, Any]
Change = Callable[[Json, list[Any]], None]
RAMP = [{"threshold": 0.0, "color": [0, 0, 0, 0]}, {"threshold": 1.0, "color": [255, 0, 0, 255]}]


def complete(json_input: Any, inputs: Sequence[Part], input_hash: str) -> tuple[Json, list[Any]]:
    """Masks of all types, a DICOM object, palettes, a label map, boxes, measurements and labels."""
    image = pydicom.dcmread(inputs[0])
    shape = {"width": image.Columns, "height": image.Rows}
    here = {"binary_data_shape": shape, "dicom_image": {"SOPInstanceUID": image.SOPInstanceUID}}
    volume = {"timepoints": 1, "depth": len(inputs), **shape}
    plane = np.zeros((image.Rows, image.Columns), np.uint8)
    plane[2:5, 3:6] = 2
    answer = {
        "protocol_version": "1.0",
        "parts": [
            {
                "binary_type": "probability_mask",
                "binary_data_shape": volume,
                "SeriesInstanceUID": image.SeriesInstanceUID,
                "probability_threshold": 0.5,
            },
            {"binary_type": "heatmap", **here, "palette": "ramp"},
            {"binary_type": "numeric_label_mask", **here, "label_map": {"1": "one", "2": "two"}},
            {"binary_type": "boolean_mask", **here},
            {"binary_type": "dicom_secondary_capture"},
        ],
        "palettes": {
            "ramp": {"type": "anchorpoints", "data": RAMP},
            "table": {"type": "lut", "data": [0] * 1024},
        },
        "bounding_boxes_2d": [
            {"SOPInstanceUID": image.SOPInstanceUID, "top_left": [3, 2], "bottom_right": [6, 5]}
        ],
        "linear_measurements_2d": [
            {"SOPInstanceUID": image.SOPInstanceUID, "start": [3.5, 2], "end": [6, 5.5]}
        ],
        "series_ml_json": {image.SeriesInstanceUID: {"label": "none"}},
    }
    return answer, [np.stack([plane] * len(inputs)), plane, plane, plane, inputs[0]]


def changed(change: Change) -> Callable[..., tuple[Json, list[Any]]]:
    """The same model with something wrong in its answer."""

    def model(json_input: Any, inputs: Sequence[Part], input_hash: str) -> tuple[Json, list[Any]]:
        answer, elements = complete(json_input, inputs, input_hash)
        # The entries share objects: a change is to change one of them.
        answer = json.loads(json.dumps(answer))
        change(answer, elements)
        return answer, elements

    return model


@dataclass(frozen=True)
class Reply:
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    cut: bool = False
    """Announce more than there is, and end the connection."""

    def header(self, name: bytes) -> bytes:
        return dict(self.headers).get(name, b"")

    def with_header(self, name: bytes, value: bytes | None) -> "Reply":
        kept = tuple((key, each) for key, each in self.headers if key != name)
        return replace(self, headers=kept if value is None else (*kept, (name, value)))


Rewrite = Callable[[Scope, Reply], Reply]


class Rewritten:
    """An app whose answers pass through a function. `greedy`: the whole body is read before the app runs."""

    def __init__(self, app: ASGIApp, rewrite: Rewrite, *, greedy: bool = False) -> None:
        self._app = app
        self._rewrite = rewrite
        self._greedy = greedy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        came: list[Message] = []
        while self._greedy and not (came and not came[-1].get("more_body")):
            came.append(await receive())
        start: Message = {}
        body = bytearray()
        reply: Reply | None = None

        async def take() -> Message:
            return came.pop(0) if came else await receive()

        async def give(out: Message) -> None:
            nonlocal start, reply
            if out["type"] == "http.response.start":
                start = out
                return
            body.extend(out.get("body", b""))
            length = dict(start["headers"]).get(b"content-length")
            more = out.get("more_body", False)
            # An early answer is whole while the app goes on reading.
            if reply is None and (not more or (length is not None and len(body) >= int(length))):
                whole = Reply(start["status"], tuple(start["headers"]), bytes(body))
                reply = self._rewrite(scope, whole)
                await _begin(send, reply)
            if reply is not None and not more and not reply.cut:
                await send({"type": "http.response.body", "body": b""})

        await self._app(scope, take, give)


async def _begin(send: Send, reply: Reply) -> None:
    reply = reply.with_header(b"content-length", b"%d" % (len(reply.body) + reply.cut))
    await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.headers)})
    await send({"type": "http.response.body", "body": reply.body, "more_body": True})


def to_answers(change: Callable[[Reply], Reply]) -> Rewrite:
    """Rewrites the answers to studies only."""
    return lambda scope, reply: change(reply) if scope["path"] == "/" and reply.status == 200 else reply


def to_errors(change: Callable[[Reply], Reply]) -> Rewrite:
    return lambda scope, reply: change(reply) if reply.status >= 400 else reply


def to_path(path: str, change: Callable[[Reply], Reply], *methods: str) -> Rewrite:
    wanted = methods or ("GET", "HEAD", "POST", "PUT", "OPTIONS")
    return lambda scope, reply: (
        change(reply) if scope["path"] == path and scope["method"] in wanted else reply
    )


def to_body(old: bytes, new: bytes, count: int = -1) -> Rewrite:
    """Replaces bytes in the answers to studies."""

    def change(reply: Reply) -> Reply:
        assert old in reply.body
        return replace(reply, body=reply.body.replace(old, new, count))

    return to_answers(change)


def token(reply: Reply) -> bytes:
    """The boundary of an answer."""
    found = re.search(rb"boundary=(.+)", reply.header(b"content-type"))
    assert found
    return found[1]


def parts_of(reply: Reply) -> list[bytes]:
    """The parts as they stand between the delimiters."""
    whole = reply.body.removesuffix(b"\r\n--" + token(reply) + b"--\r\n")
    return [each.removeprefix(b"\r\n") for each in (b"\r\n" + whole).split(b"\r\n--" + token(reply))[1:]]


def with_parts(reply: Reply, parts: list[bytes]) -> Reply:
    """The answer with other parts, and the hash that goes with them."""
    if not parts[-1].startswith(b'Content-Disposition: form-data; name="hashes"'):
        return replace(reply, body=message(*parts, boundary=token(reply)))
    bodies = [each.partition(b"\r\n\r\n")[2] for each in parts]
    digest = hashlib.sha256(b"".join(bodies[:-1])).hexdigest().encode()
    head = parts[-1].partition(b"\r\n\r\n")[0]
    hashes = head + b"\r\n\r\n" + bodies[-1].partition(b":")[0] + b":" + digest
    return replace(reply, body=message(*parts[:-1], hashes, boundary=token(reply)))


def element(name: bytes) -> bytes:
    disposition = b'Content-Disposition: form-data; name="%s"; filename="%s"' % (name, name)
    return part(b"more", disposition, b"Content-Type: application/binary")


STUDY: Callable[[], Study] = cache(make_study)


def findings(url: str, checks: Sequence[Check] = CHECKS, **options: Any) -> list[Finding]:
    """What checks find at a URL."""
    subject = Subject(Target(url), STUDY(), **options)
    try:
        return [each.run(subject) for each in checks]
    finally:
        subject.close()


def url_of(address: tuple[str, int]) -> str:
    return f"http://{address[0]}:{address[1]}"


def failing(
    spool_dir: Path,
    *,
    model: Callable[..., Any] = complete,
    rewrite: Rewrite = lambda scope, reply: reply,
    greedy: bool = False,
    checks: Sequence[Check] = CHECKS,
    **options: Any,
) -> set[str]:
    """The names of the checks that fail at a gateway with a fault."""
    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", model)
    with serving(Rewritten(app, rewrite, greedy=greedy)) as running:
        found = findings(url_of(running.address), checks, **options)
    assert all(each.advice for each in found if each.verdict is Verdict.FAIL), "a failure says what to do"
    return {each.check for each in found if each.verdict is Verdict.FAIL}
