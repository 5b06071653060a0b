"""A model process from the gateway's side: calls, ends, cancellations, and what is left."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway.errors import InvalidModelOutput, ModelCrashed, ModelFailed, SetupFailed
from inference_gateway.execution.check import InferenceResponse
from inference_gateway.execution.current_request import CurrentRequest
from inference_gateway.execution.process.host import ModelProcess
from inference_gateway.execution.process.telling import in_words
from inference_gateway.payload.part import Part
from inference_gateway.payload.spool import Spool
from inference_gateway.telemetry.context import working_for
from tests.execution.process.conftest import Start
from tests.harness.log import LogCapture
from tests.harness.waiting import until

pytestmark = pytest.mark.slow

LIMIT = 60.0


@contextmanager
def spooled(folder: Path, *bodies: bytes, memory: int = 1 << 20) -> Iterator[tuple[Spool, list[Part]]]:
    spool = Spool(folder, memory)
    parts, begin = [], 0
    for body in bodies:
        spool.append(body)
        parts.append(Part(spool, begin, begin, begin + len(body)))
        begin += len(body)
    yield spool, parts
    spool.release()


class Caller:
    """Calls models as a thread of the gateway does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.loop = asyncio.new_event_loop()

    def __call__(
        self,
        process: ModelProcess,
        json_input: Any = None,
        *bodies: bytes,
        memory: int = 1 << 20,
        request: CurrentRequest | None = None,
    ) -> InferenceResponse:
        token = working_for.set(request or CurrentRequest("the-id", "/", None, loop=self.loop))
        try:
            with spooled(self._folder, *bodies, memory=memory) as (spool, parts):
                return process.call(json_input or {}, parts, "hash", spool)
        finally:
            working_for.reset(token)


@pytest.fixture
def call(spool_dir: Path) -> Iterator[Caller]:
    caller = Caller(spool_dir)
    yield caller
    caller.loop.close()


def elements(response: InferenceResponse) -> list[bytes]:
    return [b"".join(map(bytes, element.blocks())) for _, element in response.elements]


@pytest.mark.parametrize("memory", [1 << 20, 0], ids=["memory", "file"])
@pytest.mark.parametrize("size", [0, 10, 100_000, 3 << 20])
def test_inputs_cross_and_come_back(memory: int, size: int, start: Start, call: Caller) -> None:
    given = [os.urandom(size), b"x", b""]
    process = start("bodies")
    for _ in range(20):
        assert elements(call(process, {}, *given, memory=memory)) == given


def test_what_the_model_is_called_with(start: Start, call: Caller) -> None:
    process = start("sizes")
    asked = {"a": [1, 2.5, None, "ü\ud800"]}
    found = json.loads(call(process, asked, b"abc", b"").json)
    assert found == {"json": asked, "sizes": [3, 0], "hash": "hash", "pid": process.pid}
    assert process.pid != os.getpid()


@pytest.mark.parametrize("size", [0, 1, 100_000, 50 << 20])
@pytest.mark.parametrize("shared", [False, True])
def test_an_array_crosses(size: int, shared: bool, start: Start, call: Caller) -> None:
    ((_, element),) = call(start("filled"), {"size": size, "shared": shared}).elements
    assert element.size == size
    assert all((np.frombuffer(block, np.uint8) == 7).all() for block in element.blocks() if len(block))


def test_an_iterable_comes_block_by_block(start: Start, call: Caller, tmp_path: Path) -> None:
    process = start("streamed")
    response = call(process, {"mark": str(tmp_path / "mark")})
    ((_, element),) = response.elements
    assert element.size is None
    blocks = element.blocks()
    assert bytes(next(blocks)) == bytes(1000)
    process.release()
    assert (tmp_path / "mark").exists()
    assert elements(call(process, {})) == [b"".join(bytes([number]) * 1000 for number in range(3))]
    process.release()


def test_an_iterable_that_fails(start: Start, call: Caller) -> None:
    process = start("streamed")
    response = call(process, {"fails": True})
    with pytest.raises(ModelFailed) as failed:
        elements(response)
    assert "in the middle" in str(failed.value.__cause__)
    process.release()
    assert elements(call(process, {}))


def test_an_async_callback(start: Start, call: Caller) -> None:
    process = start("asynchronous")
    for _ in range(2):
        assert json.loads(call(process, {}).json) == {"request": "the-id"}


def test_an_async_callback_is_cancelled(start: Start, call: Caller) -> None:
    process = start("asynchronous")
    request = CurrentRequest("id", "/", None, loop=call.loop)
    for early in (True, False):  # before the call is there, and most likely in its midst
        if early:
            process.cancel(request.key)
        else:
            threading.Timer(0.3, process.cancel, [request.key]).start()
        with pytest.raises(ModelFailed):
            call(process, {"seconds": 1000}, request=request)
    assert json.loads(call(process, {}).json) == {"request": "the-id"}


def test_a_model_sees_that_nobody_waits(start: Start, call: Caller, tmp_path: Path) -> None:
    process = start("waits")
    request = CurrentRequest("id", "/", None, loop=call.loop)
    mark = tmp_path / "begun"

    def leave() -> None:
        until(mark.exists)
        process.cancel(request.key)

    leaver = threading.Thread(target=leave)
    leaver.start()
    with pytest.raises(ModelFailed):
        call(process, {"mark": str(mark)}, request=request)
    leaver.join()


def test_what_a_model_raises(start: Start, call: Caller) -> None:
    process = start("ends")
    with pytest.raises(ModelFailed) as failed:
        call(process, {"how": "raises"})
    text = str(failed.value.__cause__)
    assert "ValueError: as asked for" in text
    assert "models.py" in text
    assert json.loads(call(process, {"how": "well"}).json) == {"pid": process.pid}


def test_a_result_that_does_not_fit(start: Start, call: Caller) -> None:
    with pytest.raises(InvalidModelOutput) as invalid:
        call(start("ends"), {"how": "wrong"})
    assert "0 elements for 1 entries" in invalid.value.reason


@pytest.mark.parametrize(
    ("how", "words"), [("segmentation fault", "SIGSEGV"), ("exit", "exit code 3"), ("killed", "SIGKILL")]
)
def test_a_process_that_ends_says_how(how: str, words: str, start: Start, call: Caller) -> None:
    process = start("ends")
    with pytest.raises(ModelCrashed) as crashed:
        call(process, {"how": how})
    assert words in crashed.value.reason
    assert process.has_ended
    process.release()
    process.end(0.0)


def test_a_process_that_does_not_listen_is_ended(start: Start, call: Caller) -> None:
    process = start("ends")
    done = threading.Event()

    def asked() -> None:
        with suppress(ModelCrashed):
            call(process, {"how": "stopped"})
        done.set()

    threading.Thread(target=asked).start()
    pid = process.pid
    until(lambda: "T (stopped)" in Path(f"/proc/{pid}/status").read_text())
    process.end(0.0)
    assert done.wait(LIMIT)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("how", ["raises", "returns"])
@pytest.mark.parametrize("model", ["forks", "forks_in_a_coroutine"])
def test_what_a_model_forks_answers_nobody(
    model: str, how: str, start: Start, call: Caller, log: LogCapture
) -> None:
    process = start(model)
    for number in range(3):
        found = json.loads(call(process, {"number": number, "how": how}).json)
        assert found == {"pid": process.pid, "number": number, "ended": int(how == "raises")}
        assert json.loads(call(process, {"number": -number}).json) == {"pid": process.pid, "number": -number}
    until(lambda: log.text.count("has forked came out of the model's code") == 3)
    assert ("in what was forked" in log.text) == (how == "raises")


@pytest.mark.parametrize("number", [{}, {"asked": 1}])
def test_an_answer_to_another_question_is_a_crash(number: Any, start: Start, call: Caller) -> None:
    process = start("forges")
    assert json.loads(call(process).json) == {"pid": process.pid}
    forged = {"done": "call", "json": 2, "warnings": [], "faults": [], "arena": None, "elements": []}
    with pytest.raises(ModelCrashed) as crashed:
        call(process, {"forged": forged | number})
    assert "no answer to what it was asked" in crashed.value.reason
    assert process.spoilt == "crash"


def test_a_model_that_may_open_no_more_files_reads_no_empty_study(
    start: Start, call: Caller, log: LogCapture
) -> None:
    process = start("may_open_no_more")
    assert json.loads(call(process, {}, b"x" * 1000, memory=0).json) == {"sizes": [1000]}
    with pytest.raises(ModelCrashed):
        call(process, {}, b"x" * 1000, memory=0)
    until(lambda: "too many open files" in log.text)


def test_a_path_is_of_the_models_folder(start: Start, call: Caller, tmp_path: Path) -> None:
    assert elements(call(start("moves"), {"folder": str(tmp_path)})) == [b"of the model's folder"]


def test_what_a_model_starts_ends_with_it(start: Start, call: Caller) -> None:
    process = start("begets")
    pids = json.loads(call(process, {}).json)["pids"]
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    process.end(0.0)
    until(lambda: not any(alive(pid) for pid in pids))


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_models_life(start: Start, call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKS", str(tmp_path))
    process = start("Lives")
    assert {"setup", "warm_up"} <= set(os.listdir(tmp_path))
    assert json.loads(call(process).json) == {"weights": 42}
    process.tear_down(LIMIT)
    assert (tmp_path / "teardown").exists()
    assert process.has_ended


@pytest.mark.parametrize(
    ("name", "cause"),
    [("FailsInSetup", "no weights"), ("DiesInSetup", "exit code 9"), ("Missing", "no attribute 'Missing'")],
)
def test_a_model_that_cannot_be_set_up(name: str, cause: str, start: Start) -> None:
    with pytest.raises(SetupFailed) as failed:
        start(name)
    assert cause in f"{failed.value} {failed.value.__cause__}"


def test_its_log_lines_are_the_gateways(start: Start, call: Caller, log: LogCapture) -> None:
    call(start("sizes"), {}, b"x")
    until(lambda: "called with 1 inputs" in log.text)


def test_a_log_line_that_is_too_long_is_cut(start: Start, call: Caller, log: LogCapture) -> None:
    call(start("logs_much"))
    until(lambda: "the last" in log.text)
    long, unfit, _ = [record for record in log.records if record.name == "my_model"]
    assert long.getMessage().startswith("long: \U0001f600")
    assert len(long.getMessage()) == 12_000
    assert (long.__dict__["much"], long.__dict__["little"]) == ("(left out: too long)", 1)
    assert "do not fit" in unfit.getMessage()


def test_nothing_is_left(start: Start, call: Caller, spool_dir: Path) -> None:
    process = start("filled")
    before = len(os.listdir("/proc/self/fd"))
    theirs = len(os.listdir(f"/proc/{process.pid}/fd"))
    for _ in range(20):
        call(process, {"size": 1 << 20, "shared": True}, bytes(100), memory=0)
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # the mappings of two arenas, which are used again
    until(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) <= theirs + 4)  # it lets go after its answer


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "nobody knows"),
        (0x0300, "exit code 3"),
        (signal.SIGABRT, "SIGABRT"),
        (signal.SIGUSR1, "SIGUSR1"),
    ],
)
def test_ends_in_words(status: int | None, words: str) -> None:
    assert words in in_words(status)
