"""Where Python is: after a crash, and in a thread or a coroutine that does not come back."""

import asyncio
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest

from inference_gateway.execution.target import load
from inference_gateway.telemetry.stacks import (
    of_the_author,
    stack_of_coroutine,
    stack_of_thread,
    traceback_of,
)

pytestmark = pytest.mark.slow

LIMIT = 20.0


def run(*lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("lost", [signal.SIGSEGV, signal.SIGABRT], ids=lambda each: each.name)
def test_a_crash_leaves_the_stack(lost: signal.Signals) -> None:
    ended = run(
        "import os, inference_gateway.telemetry.logs as logs",
        "logs.configure_logging('json')",
        f"def in_the_model(patient): os.kill(os.getpid(), {int(lost)})",
        "in_the_model('SE' + 'CRET')",
    )
    assert ended.returncode == -lost
    assert "most recent call first" in ended.stderr
    assert "line 3 in in_the_model" in ended.stderr
    assert "SECRET" not in ended.stderr


@pytest.mark.parametrize("stderr", ["None", "open('/dev/null')", "__import__('io').StringIO()"])
def test_where_nothing_can_be_told_nothing_fails(stderr: str) -> None:
    ended = run(
        "import sys, inference_gateway.telemetry.stacks as stacks",
        f"sys.stderr = {stderr}",
        "sys.stderr and sys.stderr.close()",
        "stacks.report_crashes()",
        "print('goes on')",
    )
    assert ended.stdout == "goes on\n"


def deep(levels: int, begun: threading.Event, go: threading.Event, value: str) -> None:
    if levels:
        deep(levels - 1, begun, go, value)
    else:
        begun.set()
        assert go.wait(LIMIT)


@pytest.mark.parametrize("levels", [3, 200])
def test_the_stack_of_a_thread(levels: int) -> None:
    begun, go = threading.Event(), threading.Event()
    thread = threading.Thread(target=deep, args=(levels, begun, go, "SECRET"))
    thread.start()
    try:
        assert begun.wait(LIMIT)
        assert thread.ident is not None
        stack = stack_of_thread(thread.ident)
    finally:
        go.set()
        thread.join(LIMIT)
    lines = [line for line in stack.splitlines() if line.endswith("in deep")]
    assert len(lines) == levels + 1 or len(lines) > 40
    assert all(f'File "{__file__}", line ' in line for line in lines)
    assert "SECRET" not in stack
    assert len(stack.splitlines()) <= 51
    assert ("more" in stack.splitlines()[-1]) is (levels == 200)


def test_a_traceback_begins_with_the_authors_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the gateway and the import went through before it is left out."""
    (tmp_path / "broken_module.py").write_text("value = 1\nvalue.missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AttributeError) as raised:
        load("broken_module:model")
    assert raised.value.__traceback__ is not None
    error = raised.value.with_traceback(raised.value.__traceback__.tb_next)  # without this test's own frame
    assert "importlib" in "".join(traceback.format_exception(error))
    printed = traceback_of(error)
    assert printed.splitlines()[1].endswith('broken_module.py", line 2, in <module>')
    assert printed.count("File ") == 1
    assert of_the_author(error) is error


def test_a_thread_that_is_not_there() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join(LIMIT)
    assert thread.ident is not None
    assert stack_of_thread(thread.ident) == ""


async def test_the_stack_of_a_coroutine() -> None:
    async def inner(value: str) -> None:
        await asyncio.Event().wait()

    async def outer() -> None:
        await inner("SECRET")

    coroutine = outer()
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    stack = stack_of_coroutine(coroutine)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    functions = [line.rpartition(" in ")[2].rpartition(".")[2] for line in stack.splitlines()]
    assert functions == ["wait", "inner", "outer"]
    assert "SECRET" not in stack
    assert stack_of_coroutine(coroutine) == ""
