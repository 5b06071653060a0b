"""The log of a real server: whose line it is, and where Python was when something hangs or crashes."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.process import Process, serve_command
from tests.harness.raw import Answer, exchange, request
from tests.harness.wire import check_problem, message, part

pytestmark = pytest.mark.slow

TYPE = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
HERE = Path(__file__).parent
Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started = []

    def start(*options: str, **settings: object) -> Process:
        command = serve_command("log_model:app", *options)
        started.append(Process(HERE, command, spool_dir=tmp_path, **settings))
        return started[-1]

    yield start
    for process in started:
        process.close()


def ask(process: Process, path: bytes) -> Answer | None:
    sent = request(TYPE, message(part(b'{"patient": "SECRET"}')))
    return exchange(process.address, sent.replace(b"POST / ", b"POST " + path + b" "))


def identifier(answer: Answer | None) -> str:
    assert answer is not None
    return answer.header("x-request-id") or ""


def trace(answer: Answer | None) -> list[str]:
    assert answer is not None
    return (answer.header("traceparent") or "").split("-")


def test_json_lines_have_fields(start: Start) -> None:
    process = start(log_format="json")
    first, second = identifier(ask(process, b"/")), identifier(ask(process, b"/async"))
    process.wait_line(f'(?=.*"{second}").*"http.response.status_code": 200')
    lines: list[dict[str, Any]] = [json.loads(line) for line in process.lines]
    told = {line["body"]: line for line in lines if line.get("request_id") == first}
    assert told["50% of it"]["otel.scope.name"] == "the.model"
    assert told["found"]["organ"] == "liver"
    assert told["a block"]["http.route"] == "/"
    (line,) = [line for message, line in told.items() if message.startswith("status 200")]
    assert (line["http.response.status_code"], line["http.route"]) == (200, "/")
    assert line["http.request.body.size"] > 0
    assert line["http.response.body.size"] > 0
    for hash_name in ("input_hash", "output_hash"):
        assert len(line[hash_name]) == 64
    for phase in ("upload", "queue", "model", "answer"):
        assert line["seconds"] >= line[f"{phase}_seconds"] >= 0
    assert {each["trace_id"] for each in told.values()} == {line["trace_id"]}
    (in_a_coroutine,) = [line for line in lines if line["body"] == "in a coroutine"]
    assert (in_a_coroutine["request_id"], in_a_coroutine["http.route"]) == (second, "/async")


def test_text_lines_name_the_request(start: Start) -> None:
    process = start()
    answers = ask(process, b"/"), ask(process, b"/async")
    process.wait_line(f'"{identifier(answers[1])}".* - status 200')
    first, second = (
        f"request_id={identifier(answer)} http.route={route} trace_id={trace_id} span_id={span_id}"
        for answer, route in zip(answers, ("/", "/async"), strict=True)
        for _, trace_id, span_id, _ in [trace(answer)]
    )
    assert f"INFO the.model [{first}]: 50% of it" in process.log
    assert f'INFO the.model [{first}]: {{"organ": "liver"}} - found' in process.log
    assert f"INFO the.model [{first}]: a block" in process.log
    assert f"INFO the.model [{second}]: in a coroutine" in process.log


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    ("path", "function"), [(b"/hanging", "where_it_hangs"), (b"/async_hanging", "where_it_waits")]
)
def test_a_call_that_passes_its_deadline_leaves_its_stack(
    path: bytes, function: str, log_format: str, start: Start
) -> None:
    process = start(log_format=log_format)
    problem = check_problem(ask(process, path), 504)
    process.wait_line(rf"log_model\.py\\?\", line \d+, in {function}")
    process.wait_line('status_code": 504')
    says = "the model did not finish within its time limit; its call was here"
    assert any(says in line and problem["request_id"] in line for line in process.lines)
    assert "refused" not in process.log
    assert "SECRET" not in process.log


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signal")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_crash_leaves_the_stack(workers: str, start: Start) -> None:
    process = start("--workers", workers)
    assert ask(process, b"/crashing") is None
    process.wait_line(r'log_model\.py", line \d+ in where_it_crashes')
    if workers == "1":
        assert process.wait() == -signal.SIGSEGV
    assert "SECRET" not in process.log
