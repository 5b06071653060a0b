"""The names that an application of the old Flask gateway uses, so that it runs with other import lines only.

```python
```

For moving over, not for new applications: docs/moving-from-flask.md says what to write instead.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from starlette.responses import PlainTextResponse, Response

from inference_gateway.app import gateway
from inference_gateway.execution.signature import check_model
from inference_gateway.telemetry.logs import configure_logging, logger

ErrorHandler = Callable[[Exception], object]


def make_response(text: str, status: int = 200) -> Response:
    """Return an answer of a health check's handler, as `flask.make_response` made it."""
    return PlainTextResponse(text, status)


class Gateway(gateway.Gateway):
    """`Gateway(__name__)`, with `register_error_handler` and `run` as Flask has them.

    Making one gives pydicom 3 its name `read_file` back: the old handlers read with it.
    """

    def __init__(self, import_name: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._error_handlers: list[tuple[type[Exception], ErrorHandler]] = []
        if find_spec("pydicom") is not None:
            pydicom = import_module("pydicom")
            if not hasattr(pydicom, "read_file"):
                pydicom.read_file = pydicom.dcmread  # type: ignore[attr-defined]  # so it was called before 3.0

    def register_error_handler(self, kind: type[Exception], handler: ErrorHandler) -> None:
        """Call `handler(error)` when a model raises a `kind`; the last one registered goes first.

        What it returns is not sent: the answer is a problem document, and the traceback is in the log. Raises
        `TypeError` for a status, which Flask takes too.
        """
        if not isinstance(kind, type):
            raise TypeError(
                "register error handlers for exception classes: a status has its problem document"
            )
        self._error_handlers.insert(0, (kind, handler))

    def add_inference_route(self, route: str, model: Any, **options: Any) -> None:
        """As `inference_gateway.Gateway`; error handlers are for functions and methods, not `async` ones."""
        if inspect.isroutine(model) and not inspect.iscoroutinefunction(model):
            check_model(model, model.__qualname__)
            model = self._handling_errors(model)
        super().add_inference_route(route, model, **options)

    def _handling_errors(self, model: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(model)
        def call(json_input: Any, inputs: Any, input_hash: str) -> Any:
            try:
                return model(json_input, inputs, input_hash)
            except Exception as error:
                self._handle(error)
                raise

        return call

    def _handle(self, error: Exception) -> None:
        for kind, handler in self._error_handlers:
            if isinstance(error, kind):
                try:
                    handler(error)
                except Exception:
                    logger.exception("the error handler failed")
                return

    def run(self, host: str = "127.0.0.1", port: int = 5000, **flask_options: Any) -> None:
        """Serve as `inference-gateway serve` does, until SIGTERM or Ctrl-C.

        `flask_options`, such as `debug` and `use_reloader`, have no meaning here and are ignored.
        """
        from inference_gateway.serving.server import make_server

        if not logging.getLogger().handlers:
            configure_logging(self.settings.log_format)
        server = make_server(self, host=host, port=port)
        server.run()
        if server.exit_code:
            sys.exit(server.exit_code)
