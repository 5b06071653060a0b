"""Requests to a model, each with a JSON that says what is asked of it."""

import json
from typing import Any

from tests.harness.raw import Address, Connection, head, request
from tests.harness.wire import message, part

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
ENTRY = {"parts": [{"binary_type": "dicom"}]}
"""A result's JSON with one element."""


def post(asked: Any, *inputs: bytes, path: bytes = b"/") -> bytes:
    return request(TYPE, root(asked, *inputs), target=path)


def root(asked: Any, *inputs: bytes) -> bytes:
    return message(
        part(json.dumps(asked).encode()), *(part(each, b"Content-Type: application/dicom") for each in inputs)
    )


def is_ready(address: Address) -> bool:
    with Connection(address) as connection:
        connection.send(head((), method=b"GET", target=b"/healthcheck"))
        answer = connection.read_answer()
    return answer is not None and answer.status == 200
