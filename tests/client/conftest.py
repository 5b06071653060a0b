"""Fixtures for the tests of the clients."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.serving.server import make_server
from tests.client.servers import CALLERS, Call
from tests.conftest import Serve
from tests.harness.server import RunningServer

MASK = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
SHAPE = {"depth": 2, "height": 3, "width": 4}
ANSWER = {
    "protocol_version": "1.0",
    "parts": [
        {"binary_type": "numeric_label_mask", "binary_data_shape": SHAPE, "label": "liver"},
        {"binary_type": "dicom"},
    ],
}


def model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """A mask, and all inputs in one; an answer with a Content-Length."""
    return ANSWER | {"got": json_input}, [MASK, b"".join(each.read() for each in inputs)]


def streaming_model(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """The same, chunked."""
    return ANSWER | {"got": json_input}, [MASK, (each.read() for each in inputs)]


Start = Callable[..., RunningServer]


@pytest.fixture
def start(serve: Serve, spool_dir: Path) -> Start:
    """Starts a gateway with a model."""

    def run(called: Callable[..., Any] = model, **settings: Any) -> RunningServer:
        app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
        app.add_inference_route("/", called)
        app.add_inference_route("/other", called)
        return serve(app, make_server(app, port=0))

    return run


@pytest.fixture(params=CALLERS, ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """A call by either client."""
    caller: Call = request.param
    return caller
