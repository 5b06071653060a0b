"""A gateway with a recording model, and what is checked after each request to it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference_gateway import Gateway, Settings
from inference_gateway.serving.server import make_server
from tests.harness.asgi import AppThread, app_thread
from tests.harness.log import LogCapture
from tests.harness.model import Call, RecordingModel, Records, reply_json
from tests.harness.raw import Address, Answer, exchange, head, request
from tests.harness.server import Watched, left_in, serving
from tests.harness.wire import assert_same, check_problem, check_reply, digest
from tests.odd_inputs.table import AB, BB, GOOD, RELATED, SECRET, Accepted, Refused, Row, accept, typed

SET_UP_LIMIT = 60.0
GOOD_REQUEST = request(typed(RELATED), GOOD)
GOOD_CALL = accept(AB, BB)


@dataclass(frozen=True)
class Bench:
    """A gateway on a socket, with a model at `/` and at `/echo`."""

    address: Address
    watched: Watched
    model: RecordingModel | Records
    spool_dir: Path

    def check(self, expected: Accepted | Refused, answer: Answer | None, *hidden: bytes) -> None:
        """Hold an answer, and what the model was called with, against what was expected."""
        if isinstance(expected, Accepted):
            check_accepted(expected, answer, self.model.take())
        else:
            check_refused(expected, answer, *hidden)

    def check_after(self, log: LogCapture) -> None:
        """What holds after every request: nothing is left of it, and nothing of it is in the log.

        Calls that nobody took before are an error, and so is a gateway that serves no further request.
        """
        self.watched.wait_idle()
        assert left_in(self.spool_dir) == []
        assert self.model.take() == [], "the model was called"
        check_accepted(GOOD_CALL, exchange(self.address, GOOD_REQUEST), self.model.take())
        self.watched.wait_idle()  # a request may be logged after its answer
        check_unlogged(log)


@dataclass(frozen=True)
class CallBench:
    """The same gateway without a server around it."""

    app: AppThread
    model: RecordingModel
    spool_dir: Path


def check_accepted(expected: Accepted, answer: Answer | None, calls: list[Call]) -> None:
    elements = [("application/binary", body) for body in expected.inputs]
    input_hash = digest(*expected.bodies)
    check_reply(answer, reply_json(len(elements)), elements, input_hash)
    assert answer is not None
    assert answer.header("content-length") == str(len(answer.body)), "no true length"
    assert len(calls) == 1
    # By their repr: NaN is not equal to itself, and 1 is equal to True.
    assert repr(calls[0].json_input) == repr(expected.json)
    assert [len(body) for body in calls[0].bodies] == [len(body) for body in expected.inputs]
    assert_same(b"".join(calls[0].bodies), b"".join(expected.inputs))
    assert calls[0].input_hash == input_hash


def check_refused(expected: Refused, answer: Answer | None, *hidden: bytes) -> None:
    problem = check_problem(answer, expected.status)
    assert problem["detail"].startswith(expected.starts)
    assert expected.says.lower() in problem["detail"].lower()
    check_unsaid(answer, *hidden)


def check_unsaid(answer: Answer | None, *hidden: bytes) -> None:
    """Nothing that came in is in the answer."""
    if answer is None:
        return
    said = answer.body + repr(answer.headers).encode()
    for word in (SECRET, *hidden):
        assert word not in said, f"{word!r} is in the answer"


def check_unlogged(log: LogCapture) -> None:
    """Nothing that came in is in the log, of which the gateway's own lines are seen."""
    assert any(record.name.startswith("inference_gateway") for record in log.records)
    line = next((line for line in log.lines if SECRET.decode() in line), None)
    assert line is None, f"what came in is in the log: {line}"


def gateway(model: RecordingModel | str, spool_dir: Path, **settings: Any) -> Gateway:
    app = Gateway(settings=Settings(spool_dir=spool_dir, **settings))
    app.add_inference_route("/", model)
    app.add_inference_route("/echo", model)
    return app


def is_ready(address: Address) -> bool:
    answer = exchange(address, head(((b"Connection", b"close"),), method=b"GET", target=b"/healthcheck"))
    return answer is not None and answer.status == 200


@contextmanager
def open_process_bench(spool_dir: Path, records: Records, **settings: Any) -> Iterator[Bench]:
    """Serve a gateway whose model has a process of its own."""
    app = gateway("tests.harness.model:recorded", spool_dir, isolation="process", **settings)
    with serving(app) as running:
        end = time.monotonic() + SET_UP_LIMIT
        while not is_ready(running.address):
            assert time.monotonic() < end, "the model was not set up"
        yield Bench(running.address, running.watched, records, spool_dir)
    assert left_in(spool_dir) == []


@contextmanager
def open_bench(spool_dir: Path, *, hardened: bool = False, **settings: Any) -> Iterator[Bench]:
    """Serve a gateway by plain uvicorn or by the hardened server; no spool may outlive it."""
    model = RecordingModel()
    app = gateway(model, spool_dir, **settings)
    server = make_server(app, host="127.0.0.1", port=0) if hardened else None
    with serving(app, server) as running:
        yield Bench(running.address, running.watched, model, spool_dir)
    assert left_in(spool_dir) == []


@contextmanager
def open_call_bench(spool_dir: Path, **settings: Any) -> Iterator[CallBench]:
    model = RecordingModel()
    with app_thread(gateway(model, spool_dir, **settings)) as app:
        yield CallBench(app, model, spool_dir)
    assert left_in(spool_dir) == []


def in_one_piece(row: Row) -> bytes:
    return request(row.headers, row.body)


def piece_size(row: Row) -> int:
    """Single bytes, or a prime number of them where the body is too long for that."""
    return 1 if len(row.body) < 20_000 else 61
