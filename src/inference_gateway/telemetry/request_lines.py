"""The log's line of each request that has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache, partial
from json.encoder import encode_basestring_ascii as quoted

from inference_gateway.telemetry.line_writer import LineWriter
from inference_gateway.telemetry.logs import JsonFormatter, LineFormatter, logger
from inference_gateway.telemetry.record import Record
from inference_gateway.telemetry.tagged_logger import TaggedMessage, to_json


class RequestLines:
    """An observer of records that writes one line for each request."""

    def request_ended(self, record: Record, /) -> None:
        """Log the line: each number of it is a field of its own."""
        if not logger.isEnabledFor(logging.INFO):
            return
        message = RequestMessage(record)
        handlers = logging.root.handlers
        writer = handlers[0] if handlers else None
        if len(handlers) == 1 and not logger.handlers and isinstance(writer, LineWriter):
            formatter = writer.formatter
            if isinstance(formatter, LineFormatter | JsonFormatter):
                # By `serve`'s own logging: the library takes longer than all the rest of the line.
                writer.put(partial(formatter.request_line, time.time(), message))
                return
        logger.handle(logger.makeRecord(logger.name, logging.INFO, __file__, 0, message, (), None))


class RequestMessage(TaggedMessage):
    """The line of a request that has ended, made text when it is written."""

    __slots__ = ("_record",)
    is_settled = True

    def __init__(self, record: Record) -> None:
        super().__init__(record.tags, f"status {record.status}")
        self._record = record

    def in_json(self) -> str:
        """Return tags and numbers as one JSON object, by a form made once: the names are mostly the same."""
        record = self._record
        form = _form(tuple(record.tags), tuple(record.phases), record.status != 0)
        values, phases = record.tags.values(), record.phases.values()
        try:
            tags = [*map(quoted, values)]
        except TypeError:  # one is no text, as the size of a batch
            tags = [quoted(tag) if isinstance(tag, str) else to_json(tag) for tag in values]
        return form(*tags, *phases, record.received, record.sent, record.seconds, record.status)


@lru_cache(64)
def _form(tags: tuple[str, ...], phases: tuple[str, ...], has_status: bool) -> Callable[..., str]:
    """Return what makes a JSON object, its names sorted, of the values of these names."""
    names = [*tags, *(f"{phase}_seconds" for phase in phases)]
    names += ["http.request.body.size", "http.response.body.size", "seconds", "http.response.status_code"]
    fields = []
    for index, name in enumerate(names if has_status else names[:-1]):
        shown = quoted(name).replace("{", "{{").replace("}", "}}")
        digits = ":.6f" if index >= len(tags) and name.endswith("seconds") else ""
        fields.append(f"{shown}: {{{index}{digits}}}")
    return ("{{" + ", ".join(sorted(fields)) + "}}").format
