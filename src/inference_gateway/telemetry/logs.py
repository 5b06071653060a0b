"""The process's log lines, as text or JSON, each with the request that it is about.

What OpenTelemetry has a name for has that name: the fields of its logs data model and of trace context in
logs that are no OTLP, and the attributes of its semantic conventions.

No line of the gateway has anything of a request in it but hashes, sizes, counts, routes and durations.
"""

from __future__ import annotations

import json
import logging
import logging.config
import sys
import time
import warnings
from bisect import bisect_right
from typing import Any, Literal

from inference_gateway.telemetry.context import RequestIdentity, working_for
from inference_gateway.telemetry.stacks import report_crashes
from inference_gateway.telemetry.tagged_logger import TaggedMessage

logger = logging.getLogger("inference_gateway")


def _says_nothing_of_a_patient(record: logging.LogRecord) -> bool:
    """pydicom and highdicom quote values. A filter: importing pydicom sets its logger's level anew."""
    return record.name.partition(".")[0] not in ("pydicom", "highdicom")


def _name_the_request(record: logging.LogRecord) -> bool:
    """Note which request the model works for whose line this is, if any.

    To be asked where the line is logged: another thread does not know.
    """
    request = working_for.get(None)
    record.request = request
    record.of_request = ""
    if request is not None:
        fields = " ".join(f"{name}={value}" for name, value in _names_of(request).items())
        record.of_request = f" [{fields}]"
    return True


def _names_of(request: RequestIdentity) -> dict[str, str]:
    names = {"request_id": request.request_id, "http.route": request.route}
    if request.trace is not None:
        names |= {"trace_id": request.trace.trace_id, "span_id": request.trace.span_id}
    return names


# What each record has; all else was given as `extra`.
_OF_A_RECORD = {
    *logging.makeLogRecord({}).__dict__,
    *("message", "asctime", "taskName", "request", "of_request"),
}


# From which level on a line has which SeverityNumber: TRACE, DEBUG, INFO, WARN, ERROR, FATAL.
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_SEVERITIES = (1, 5, 9, 13, 17, 21)


class LineFormatter(logging.Formatter):
    """The lines as text. What is the same for all lines of a second is made once."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s%(of_request)s: %(message)s")
        self._second = (-1, "")  # the last one, and how it is written

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the local time, as the library writes it."""
        return self._time(record.created)

    def request_line(self, created: float, message: TaggedMessage) -> str:
        """Return the line of a request that has ended, which has no record of the library."""
        return f"{self._time(created)} INFO {logger.name}: {message}"

    def _time(self, created: float) -> str:
        second = int(created)
        if second != self._second[0]:
            self._second = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return f"{self._second[1]},{int((created - second) * 1000):03d}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line; a message's tags and fields, and what `extra` has, are fields of the object."""

    def __init__(self) -> None:
        super().__init__()
        self._second = (-1, "")  # the last one, and how it is written

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, Any] = {
            "timestamp": self._timestamp(record.created),
            "severity_text": record.levelname,
            "severity_number": _SEVERITIES[bisect_right(_LEVELS, record.levelno)],
            "otel.scope.name": record.name,
        }
        more: dict[str, Any] = {}
        request: RequestIdentity | None = record.__dict__.get("request")
        if request is not None:
            more.update(_names_of(request))
        message = record.msg
        if isinstance(message, TaggedMessage):
            text = str(message.text)
            line["body"] = text % record.args if record.args else text
            more.update(json.loads(message.in_json()))
        else:
            line["body"] = record.getMessage()
        if record.exc_info:
            line["exception.stacktrace"] = self.formatException(record.exc_info)
        elif record.exc_text:  # of another process
            line["exception.stacktrace"] = record.exc_text
        if record.stack_info:
            line["code.stacktrace"] = record.stack_info
        more.update((name, value) for name, value in record.__dict__.items() if name not in _OF_A_RECORD)
        for name, value in more.items():
            line.setdefault(name, value)  # a tag that is called "body" does not replace it
        return json.dumps(line, default=str)

    def request_line(self, created: float, message: TaggedMessage) -> str:
        """Return the line of a request that has ended, which has no record of the library."""
        return (
            f'{{"timestamp": "{self._timestamp(created)}", "severity_text": "INFO", "severity_number": 9, '
            f'"otel.scope.name": "{logger.name}", "body": "{message.text}", {message.in_json()[1:]}'
        )

    def _timestamp(self, created: float) -> str:
        """Return a time as RFC 3339 has it, in UTC, with microseconds."""
        second = int(created)
        if second != self._second[0]:
            self._second = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second[1]}.{int((created - second) * 1e6):06d}Z"


def configure_logging(log_format: Literal["text", "json"] = "text", level: str = "INFO") -> None:
    """Set up the process's logging for `inference-gateway serve`: lines on standard error, by a thread.

    Where the process crashes, Python's stack is written there too. pydicom's own lines and warnings quote
    values of data sets: its lines are dropped, and no Python warning is shown unless `-W` or PYTHONWARNINGS
    asks for them.
    """
    report_crashes()
    formatter = JsonFormatter if log_format == "json" else LineFormatter
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter}},
            "filters": {
                "privacy": {"()": lambda: _says_nothing_of_a_patient},
                "request": {"()": lambda: _name_the_request},
            },
            "handlers": {
                "stderr": {
                    "class": "inference_gateway.telemetry.line_writer.LineWriter",
                    "formatter": "line",
                    "filters": ["privacy", "request"],
                }
            },
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {"uvicorn.access": {"level": "CRITICAL"}},
        }
    )
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
