"""Lines that a thread writes: in order, each once, and all of them, however the process ends."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_gateway.telemetry import line_writer
from inference_gateway.telemetry.line_writer import LineWriter
from inference_gateway.telemetry.record import Record
from inference_gateway.telemetry.request_lines import RequestLines
from inference_gateway.telemetry.tagged_logger import TaggedLogger
from tests.harness.raw import Connection, request
from tests.harness.wire import message, part

LIMIT = 20.0


class Stream(io.StringIO):
    """Tells when it has been written to, and may be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.written = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def write(self, text: str) -> int:
        assert self.go.wait(LIMIT)
        self.writes += 1
        count = super().write(text)
        self.written.set()
        return count


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def logger(stream: Stream) -> Iterator[logging.Logger]:
    """One whose lines go to the stream only."""
    handler = LineWriter(stream)
    logger = logging.Logger("lines")
    logger.addHandler(handler)
    yield logger
    stream.go.set()
    handler.close()


def writer_of(logger: logging.Logger) -> LineWriter:
    [handler] = logger.handlers
    assert isinstance(handler, LineWriter)
    return handler


def test_a_line_is_written_without_anybody_asking(logger: logging.Logger, stream: Stream) -> None:
    logger.info("one")
    assert stream.written.wait(LIMIT)
    assert stream.getvalue() == "one\n"


def test_lines_keep_their_order_whoever_writes_them(logger: logging.Logger, stream: Stream) -> None:
    count = 2000

    def log(name: str) -> None:
        for number in range(count):
            logger.info("%s %d", name, number)
            if number % 100 == 0:
                writer_of(logger).flush()

    threads = [threading.Thread(target=log, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer_of(logger).flush()
    lines = [line.split() for line in stream.getvalue().splitlines()]
    for name in "ab":
        assert [int(number) for who, number in lines if who == name] == list(range(count))


def test_a_call_waits_for_no_write(logger: logging.Logger, stream: Stream) -> None:
    """The lines that came meanwhile are written at once."""
    stream.go.clear()
    for number in range(100):
        logger.info("%d", number)
    assert stream.getvalue() == ""
    stream.go.set()
    writer_of(logger).flush()
    assert stream.getvalue().split() == [str(number) for number in range(100)]
    assert stream.writes < 20


def test_the_queue_has_an_end(
    logger: logging.Logger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who logs more than can be written waits, as with any other handler."""
    monkeypatch.setattr(line_writer, "_MOST", 10)
    stream.go.clear()

    def log() -> None:
        for _ in range(1000):
            logger.info("x")

    flood = threading.Thread(target=log)
    flood.start()
    flood.join(0.3)
    assert flood.is_alive()
    assert len(writer_of(logger)._queue) <= 10
    stream.go.set()
    flood.join(LIMIT)
    writer_of(logger).flush()
    assert stream.getvalue() == "x\n" * 1000


def test_what_changes_later_is_written_as_it_was(logger: logging.Logger, stream: Stream) -> None:
    stream.go.clear()
    numbers = [1]
    logger.info("%s", numbers)
    tags = {"numbers": numbers}
    tagged = TaggedLogger(logger)
    tagged.add_tags(tags)
    tagged.info("tagged")
    numbers.append(2)
    try:
        raise KeyError("k")
    except KeyError:
        logger.exception("it failed")
    stream.go.set()
    writer_of(logger).flush()
    first, second, *third = stream.getvalue().splitlines()
    assert (first, second) == ("[1]", '{"numbers": [1]} - tagged')
    assert (third[0], third[-1]) == ("it failed", "KeyError: 'k'")


def test_a_line_that_cannot_be_made_costs_no_other(
    logger: logging.Logger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[logging.LogRecord] = []
    monkeypatch.setattr(writer_of(logger), "handleError", failed.append)
    logger.info("before")
    logger.info("%d", "no number")
    logger.info("after")
    writer_of(logger).flush()
    assert stream.getvalue() == "before\nafter\n"
    assert [record.msg for record in failed] == ["%d"]


def test_a_stream_that_is_gone_ends_no_thread(logger: logging.Logger, stream: Stream) -> None:
    writer = writer_of(logger)
    logger.info("one")
    assert stream.written.wait(LIMIT)
    broken = io.StringIO()
    broken.close()
    writer._stream = broken
    logger.info("lost")
    while writer._queue or writer._waiting.is_set():
        threading.Event().wait(0.01)
    writer._stream = stream
    stream.written.clear()
    logger.info("two")
    assert stream.written.wait(LIMIT)
    assert stream.getvalue() == "one\ntwo\n"


def test_the_line_of_a_request_is_made_when_it_is_written(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = LineWriter(stream)
    logger = logging.getLogger("inference_gateway")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]  # of what is enabled
    record = Record("id", "/a")
    record.status = 200
    RequestLines().request_ended(record)
    [queued] = handler._queue
    assert isinstance(queued, logging.LogRecord)
    handler.close()
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    tags, _, text = stream.getvalue().partition(" - ")
    assert text == "status 200\n"
    assert json.loads(tags)["request_id"] == "id"


def test_a_child_writes_its_own_lines_only(tmp_path: Path) -> None:
    code = """
import logging, os, sys
from inference_gateway.telemetry.logs import configure_logging
configure_logging()
logger = logging.getLogger("inference_gateway")
for number in range(50):
    logger.info("parent")
if os.fork() == 0:
    logger.info("child")
    logging.shutdown()
    os._exit(0)
os.wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.count("parent\n") == 50
    assert done.stderr.count("child\n") == 1


def test_nothing_is_lost_at_the_end_of_the_process() -> None:
    code = """
import logging
from inference_gateway.telemetry.logs import configure_logging
configure_logging("json")
for number in range(1000):
    logging.getLogger("inference_gateway").info(str(number))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert [json.loads(line)["body"] for line in done.stderr.splitlines()] == list(map(str, range(1000)))


MODEL = """
def model(json_input, inputs, input_hash):
    return {"parts": []}
"""


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_nothing_is_lost_when_the_server_is_told_to_end(sig: signal.Signals, tmp_path: Path) -> None:
    """At once after the last answer."""
    (tmp_path / "lines_model.py").write_text(MODEL)
    command = [sys.executable, "-m", "inference_gateway.cli", "serve", "lines_model:model", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "GATEWAY_SPOOL_DIR": str(tmp_path)}
    log = tmp_path / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=file)
    try:
        port = port_in(log, server)
        body = message(part(b"{}"))
        sent = request(((b"Content-Type", b"multipart/related; boundary=bnd"),), body)
        ids = []
        with Connection(("127.0.0.1", port)) as connection:
            for _ in range(50):
                connection.send(sent)
                answer = connection.read_answer()
                assert answer is not None
                ids.append(answer.header("x-request-id"))
        server.send_signal(sig)
        assert server.wait(LIMIT) == 0
    finally:
        server.kill()
        server.wait()
    lines = [line for line in log.read_text().splitlines() if "status 200" in line]
    assert [json.loads(line[line.index("{") : line.index("} - ") + 1])["request_id"] for line in lines] == ids


def port_in(log: Path, server: subprocess.Popen[bytes]) -> int:
    """As the server's own line tells it."""
    pause = threading.Event()
    while server.poll() is None:
        text = log.read_text()
        at = text.find("http://127.0.0.1:")
        end = text.find(" ", at)
        if 0 <= at < end:
            return int(text[at + 17 : end])
        pause.wait(0.05)
    raise AssertionError(log.read_text())


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("arguments", ["'bad %d', 'Doe^Jane'", "'bad', 5", "'bad %s', Odd()"])
def test_a_call_whose_arguments_do_not_fit_gets_a_line_without_them(arguments: str, log_format: str) -> None:
    code = f"""
import logging
from inference_gateway.telemetry.logs import configure_logging
class Odd:
    def __str__(self):
        raise ValueError("Doe^Jane")
configure_logging("{log_format}")
logging.getLogger("a.model").warning({arguments})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    if log_format == "json":
        (line,) = map(json.loads, done.stderr.splitlines())
        assert (line["otel.scope.name"], line["severity_text"]) == ("a.model", "ERROR")
        assert "do not fit" in line["body"]
    else:
        assert " ERROR a.model: a line could not be written: the arguments of the log call" in done.stderr
    assert "Doe" not in done.stderr
