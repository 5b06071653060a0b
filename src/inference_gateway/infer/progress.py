"""What is going on, on the terminal: one bar for each phase, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from inference_gateway.client import Progress as Call
from inference_gateway.infer.words import counted

Unit = Literal["files", "bytes", "planes", ""]


class _AmountColumn(ProgressColumn):
    """`12.0 of 240.5 MB`, `3 of 48 files`, `1 file`, or nothing where nothing is counted."""

    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        if not unit:
            return Text("")
        if unit == "bytes":
            of = "" if task.total is None else f" of {task.total / 1e6:.1f}"
            return Text(f"{task.completed / 1e6:.1f}{of} MB")
        of = "" if task.total is None else f"{task.completed:.0f} of "
        return Text(
            of + counted(int(task.completed if task.total is None else task.total), unit.removesuffix("s"))
        )


class Phases:
    """Phases one after the other. `seconds` has the time that each took, by name.

    With `show` they are drawn on stderr; where that is no terminal, only what each came to.
    """

    def __init__(self, *, show: bool) -> None:
        self.seconds: dict[str, float] = {}
        self._show = show
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<8}", markup=False),
            BarColumn(),
            _AmountColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._name = ""
        self._task = self._bars.add_task("", visible=False, unit="")
        self._begun = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the block runs; what it was at when it ends is ended too."""
        with self._bars if self._show else nullcontext():
            try:
                yield
                self.end()
            finally:
                self._name = ""

    def begin(self, name: str, unit: Unit = "", total: float | None = None) -> None:
        """End what was being done and begin a phase; without `total` its bar swings."""
        self.end()
        self._name, self._begun = name, time.perf_counter()
        self._task = self._bars.add_task(name, total=total, unit=unit)

    def update(self, done: float, total: float | None = None) -> None:
        """Say how much of the phase is done."""
        self._bars.update(self._task, completed=done, total=total)

    def advance(self) -> None:
        """Say that one more is done."""
        self._bars.advance(self._task)

    def end(self) -> None:
        """End the phase, if there is one. An upload that was refused halfway stays at what has gone out."""
        if not self._name:
            return
        spent = time.perf_counter() - self._begun
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + spent
        task = self._bars.tasks[-1]
        if task.fields["unit"] == "bytes" and task.total is not None and task.completed < task.total:
            self._bars.stop_task(self._task)
        else:
            done = task.completed or (0 if task.fields["unit"] else 1)  # nothing that is counted is not one
            self._bars.update(self._task, total=done, completed=done)
        self._name = ""

    def called(self, call: Call) -> None:
        """Take how far a call has come: upload, the model at work, download."""
        if call.received:
            self._go_to("download", call.received, call.answer_total)
        elif call.sent == call.total and self._name != "model":
            self._go_to("upload", call.sent, call.total)
            self.begin("model")
        elif call.sent < call.total:
            self._go_to("upload", call.sent, call.total)

    def _go_to(self, name: str, done: int, total: int | None) -> None:
        if self._name != name:
            self.begin(name, "bytes", total)
        self.update(done, total)
