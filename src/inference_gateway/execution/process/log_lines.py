"""How a model's log lines cross: each record as JSON, and a record again for the gateway's handlers.

Whether there is a line the model's process decides: it begins with the gateway's levels, and the model may
set others.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inference_gateway.telemetry.context import about, working_for
from inference_gateway.telemetry.identity import TraceContext
from inference_gateway.telemetry.line_writer import instead_of
from inference_gateway.telemetry.tagged_logger import TaggedMessage

_MOST = 12_000  # characters of a record's texts; the rest is cut off. In JSON they are 144 KB at the most
_MOST_FIELDS = 12_000  # bytes of all else in JSON
_TEXTS = ("msg", "exc_text", "stack_info")
_LEFT_OUT = "(left out: too long)"


def levels() -> dict[str, int]:
    """Return the levels that are set in this process: of the root logger, whose name is "", and of others."""
    loggers = [
        logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)
    ]
    return {"": logging.root.level} | {logger.name: logger.level for logger in loggers if logger.level}


def forward(send: Callable[[bytes], object], levels: Mapping[str, int]) -> None:
    """From now on give this process's log lines to `send`, one at a time; begin with `levels`."""
    logging.basicConfig(handlers=[_Forward(send)], force=True)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@dataclass
class _Origin:
    """Whose log line it is."""

    request_id: str
    route: str
    trace: TraceContext | None


def write(message: Mapping[str, Any], *, route: str) -> None:
    """Have this process's handlers write a line that has come, with its request's id."""
    line = message["log"]
    record = logging.makeLogRecord(line["record"])
    if line["tags"] is not None:
        tags, fields = line["tags"]
        record.msg = TaggedMessage(tags, record.msg, fields=fields)
    logger = logging.getLogger(record.name)
    if record.levelno <= logger.manager.disable:
        return
    if line["request_id"] is None:
        logger.handle(record)
        return
    trace = line["trace"] and TraceContext(*line["trace"])
    with about(_Origin(line["request_id"], route, trace)):
        logger.handle(record)


class _Forward(logging.Handler):
    """Sends records to the gateway, which has the handlers."""

    def __init__(self, send: Callable[[bytes], object]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            data = _packed(record)
        except Exception:
            self.handleError(record)
            return
        self._send(data)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Send a line in the place of one that cannot be made: the model's call goes on, as on a thread."""
        self._send(_packed(instead_of(record)))


def _packed(record: logging.LogRecord) -> bytes:
    """Return a record as a message, with its text instead of what it is made of."""
    found, tags = dict(record.__dict__), None
    message = record.msg
    if isinstance(message, TaggedMessage):
        tags = [message.tags, message.fields]
        text = str(message.text) % record.args if record.args else str(message.text)
    else:
        text = record.getMessage()
    trace = record.exc_text
    if record.exc_info and not trace:
        trace = logging.Formatter().formatException(record.exc_info)
    found.update(msg=text, exc_text=trace, args=None, exc_info=None)
    left = _MOST
    for name in _TEXTS:
        if found[name]:
            found[name] = found[name][:left]
            left -= len(found[name])
    left = _MOST_FIELDS
    for name, value in found.items():
        if name not in _TEXTS:
            text = json.dumps(value, default=str)
            fits = len(text) <= left
            found[name] = json.loads(text) if fits else _LEFT_OUT
            left -= len(text) if fits else 0
    if tags is not None and len(json.dumps(tags, default=str)) > left:
        tags = [{}, {}]
    request = working_for.get(None)
    line = {
        "record": found,
        "tags": tags,
        "request_id": None if request is None else request.request_id,
        "trace": None if request is None else request.trace,
    }
    return json.dumps({"log": line}, default=str).encode()
