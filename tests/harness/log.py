"""Every log record of the process, as text.

A record counts in every form in which somebody may print it: its message, its traceback and each extra
attribute, so nothing that must not be logged can hide in one of them.
"""

import logging
from contextlib import AbstractContextManager
from types import TracebackType

PLAIN = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime"}
LOUD = ("", "asyncio", "inference_gateway", "uvicorn", "uvicorn.error", "uvicorn.asgi", "starlette")
"""The loggers that are set to DEBUG while records are captured."""


class LogCapture(logging.Handler, AbstractContextManager["LogCapture"]):
    """Collects records from all loggers while it is entered; `text` is what they say."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.records: list[logging.LogRecord] = []
        self.lines: list[str] = []
        self._levels: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        extras = {key: value for key, value in record.__dict__.items() if key not in PLAIN}
        self.records.append(record)
        self.lines.append(f"{self.format(record)} {extras!r}" if extras else self.format(record))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def tracebacks(self) -> list[str]:
        """The records that have a traceback."""
        return [line for line in self.lines if "Traceback (most recent call last)" in line]

    def forget(self) -> None:
        self.records.clear()
        self.lines.clear()

    def __enter__(self) -> "LogCapture":
        for name in LOUD:
            logger = logging.getLogger(name)
            self._levels[name] = logger.level
            logger.setLevel(logging.DEBUG)
        logging.getLogger().addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger().removeHandler(self)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
