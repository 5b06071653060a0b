"""Log lines. None has anything of a request in it but hashes, sizes, counts, routes and durations."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
import warnings
from typing import Literal

logger = logging.getLogger("inference_gateway")


class _JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _says_nothing_of_a_patient(record: logging.LogRecord) -> bool:
    """pydicom quotes values of data sets. A filter, since importing pydicom sets its logger's level anew."""
    return record.name.partition(".")[0] != "pydicom"


def configure_logging(log_format: Literal["text", "json"] = "text", level: str = "INFO") -> None:
    """Sets up the process's logging for `inference-gateway serve`: lines on standard error.

    pydicom's own lines and warnings quote values of data sets: its lines are dropped, and no
    Python warning is shown unless `-W` or PYTHONWARNINGS asks for them.
    """
    formatter: dict[str, object] = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    if log_format == "json":
        formatter = {"()": _JsonFormatter}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": formatter},
            "filters": {"privacy": {"()": lambda: _says_nothing_of_a_patient}},
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["privacy"]}
            },
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {"uvicorn.access": {"level": "CRITICAL"}},
        }
    )
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
