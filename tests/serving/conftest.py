"""What the tests of the server share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.harness.server import RunningServer
from tests.harness.serving import Start, nothing


@pytest.fixture
def start(serve: Serve, spool_dir: Path) -> Start:
    """Runs a gateway in the hardened server."""

    def run(model: Callable[..., Any] = nothing, **settings: Any) -> RunningServer:
        app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
        app.add_inference_route("/", model)
        return serve(app, make_server(app, port=0))

    return run
