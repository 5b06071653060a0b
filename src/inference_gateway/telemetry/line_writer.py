"""A log handler whose lines are written by a thread of their own, in order, some at a time.

A logging call only puts its record into a queue. What may still change (arguments, a model's own tags, a
traceback) is made text at once; a plain sentence, and what `put` is given, is made text when it is written.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

from inference_gateway.telemetry.tagged_logger import TaggedMessage

_GATHER_SECONDS = 0.05  # in which more lines may come: a thread that wakes for each costs more than the line
_MOST = 10_000  # lines in the queue: who logs more waits until they are written


def instead_of(record: logging.LogRecord) -> logging.LogRecord:
    """Return what to write in the place of a record whose arguments do not fit: where that was, no values."""
    file, line = record.pathname, record.lineno
    sentence = f"a line could not be written: the arguments of the log call at {file}:{line} do not fit"
    return logging.LogRecord(record.name, logging.ERROR, file, line, sentence, (), None)


class LineWriter(logging.Handler):
    """Writes lines to `stream`, by default standard error. `flush` and `close` write what is in the queue."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._queue: deque[logging.LogRecord | str | Callable[[], str]] = deque()
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # the parent's lines are the parent's

    def _begin(self) -> None:
        self._queue.clear()
        self._writing = threading.Lock()
        self._waiting = threading.Event()  # lines are
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record, or its text, into the queue."""
        try:
            self._queue.append(record if _is_settled(record) else self.format(record))
        except Exception:
            self.handleError(record)
        self._have_written()

    def put(self, line: Callable[[], str]) -> None:
        """Put a line into the queue, to be made when it is written."""
        self._queue.append(line)
        self._have_written()

    def _have_written(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_on, name="log", daemon=True)
            self._thread.start()
        if len(self._queue) >= _MOST:
            self.flush()
        elif not self._waiting.is_set():
            self._waiting.set()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Put a line in the place of one that cannot be made: `logging` would print its arguments."""
        told = instead_of(record)
        of_request = {"request": None, "of_request": "", **record.__dict__}
        told.__dict__.update({name: of_request[name] for name in ("request", "of_request")})
        self._queue.append(self.format(told))

    def flush(self) -> None:
        """Write what is in the queue now, on the caller's thread."""
        self._write()

    def _write(self) -> bool:
        """As `flush`; returns whether there was anything."""
        with self._writing:
            lines: list[str] = []
            for _ in range(len(self._queue)):
                line = self._queue.popleft()
                if isinstance(line, logging.LogRecord):
                    try:
                        line = self.format(line)
                    except Exception:
                        self.handleError(line)  # type: ignore[arg-type]  # a record still
                        continue
                elif not isinstance(line, str):
                    line = line()
                lines.append(f"{line}\n")
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()
            return bool(lines)

    def close(self) -> None:
        """Write what is in the queue, and end the thread."""
        self._ended.set()
        self._waiting.set()
        self.flush()
        super().close()

    def _write_on(self) -> None:
        """Wakes by the clock while lines come, so that no request pays for waking it."""
        while not self._ended.is_set():
            self._waiting.wait()
            self._ended.wait(_GATHER_SECONDS)
            try:
                if self._write():
                    continue
            except (OSError, ValueError):  # nobody reads it any more, or it is closed
                continue
            self._waiting.clear()
            if self._queue:  # one has come in between
                self._waiting.set()


def _is_settled(record: logging.LogRecord) -> bool:
    """Whether its text will be the same later."""
    message = record.msg
    if record.args or record.exc_info or record.stack_info:
        return False
    return isinstance(message, str) or (isinstance(message, TaggedMessage) and message.is_settled)
