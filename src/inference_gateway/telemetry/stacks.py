"""Where Python is: for the log, when the process crashes or a call does not come back.

File, line and function of each frame, and no values: those are a patient's.
"""

from __future__ import annotations

import faulthandler
import importlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, TypeVar

E = TypeVar("E", bound=BaseException)

_MOST = 50  # frames, the innermost
_NOT_THE_AUTHORS = (str(Path(__file__).parents[1]), importlib.__file__, "<frozen importlib._bootstrap")


def report_crashes() -> None:
    """Has a crash (segmentation fault, abort, bus error) leave Python's stack on standard error.

    For the whole process. Nothing happens where it is on already, or standard error is no file.
    """
    if not faulthandler.is_enabled():
        with suppress(AttributeError, OSError, RuntimeError, ValueError):  # none, closed, or no descriptor
            faulthandler.enable()


def stack_of_thread(identity: int) -> str:
    """Return the stack of a running thread, innermost frame first; empty where there is no such thread."""
    frame = sys._current_frames().get(identity)  # noqa: SLF001 - documented, in spite of its name
    return _told(_frames(frame))


def stack_of_coroutine(coroutine: Any) -> str:
    """Return the stack of a suspended coroutine and of what it awaits, innermost frame first."""
    places = []
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        places.append((frame.f_code, frame.f_lineno))
        coroutine = coroutine.cr_await
    return _told(reversed(places))


def of_the_author(error: E) -> E:
    """Return an exception with its traceback from where the code of the model's author begins."""
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_NOT_THE_AUTHORS):
        frames = frames.tb_next
    return error.with_traceback(frames)


def traceback_of(error: BaseException) -> str:
    """Return that as Python prints it. It may hold values: it is for the author, not for a log."""
    return "".join(traceback.format_exception(of_the_author(error)))


def _frames(frame: FrameType | None) -> Iterator[tuple[CodeType, int]]:
    while frame is not None:
        yield frame.f_code, frame.f_lineno
        frame = frame.f_back


def _told(places: Iterable[tuple[CodeType, int]]) -> str:
    lines = [f'  File "{code.co_filename}", line {line}, in {code.co_qualname}' for code, line in places]
    left_out = [f"  ... and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    return "\n".join([*lines[:_MOST], *left_out])
