"""Callbacks on threads, in processes and on Ray: whatever a callback may do, all of them do it alike."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from inference_gateway import Gateway, ModelInfo, Settings
from inference_gateway.telemetry.logs import JsonFormatter
from tests.execution import callbacks
from tests.execution.requests import ENTRY, is_ready, post
from tests.harness.clusters import PLACES, Isolation, isolated, needs, placed
from tests.harness.log import LogCapture
from tests.harness.raw import Address, Answer, Connection, exchange, head
from tests.harness.server import left_in, serving
from tests.harness.waiting import until
from tests.harness.wire import check_problem, check_reply, decoded, digest

pytestmark = pytest.mark.slow

LIMIT = 60.0
SHORT = 1.0


class Place(NamedTuple):
    """A gateway with all callbacks, and where they run."""

    isolation: Isolation
    address: Address
    folder: Path

    def send(self, asked: Any, *inputs: bytes, path: bytes = b"/") -> Answer:
        answer = exchange(self.address, post(asked, *inputs, path=path), limit=LIMIT)
        assert answer is not None
        return answer

    def json(self, asked: Any, *inputs: bytes, path: bytes = b"/") -> Any:
        answer = self.send(asked, *inputs, path=path)
        assert answer.status == 200, answer.body[:300]
        return json.loads(decoded(answer)[0][2])


def settings(isolation: Isolation, folder: Path) -> Settings:
    own = isolated(isolation)
    return Settings(spool_dir=folder, isolation=own, model_timeout=LIMIT, spool_memory_bytes=100_000)


def gateway(isolation: Isolation, folder: Path) -> Gateway:
    app = Gateway(settings=settings(isolation, folder))
    model: Any = callbacks.Asked if isolation == "thread" else "tests.execution.callbacks:Asked"
    app.add_inference_route("/", placed(isolation, model))
    said = ModelInfo("Said by the route", "1.0", weights=callbacks.__file__)
    app.add_inference_route("/short", placed(isolation, callbacks.Asked), timeout=SHORT, model_info=said)
    app.add_inference_route("/async", placed(isolation, callbacks.asynchronous))
    app.add_inference_route("/short-async", placed(isolation, callbacks.asynchronous), timeout=SHORT)
    return app


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    needs(request.param, request)
    folder = tmp_path_factory.mktemp("spool")
    with ExitStack() as stack:
        with LogCapture():  # a process forwards what was wanted when it started
            running = stack.enter_context(serving(gateway(request.param, folder)))
            until(lambda: is_ready(running.address))
        yield Place(request.param, running.address, folder)
    assert left_in(folder) == []


def test_it_runs_where_it_should(place: Place) -> None:
    assert (place.json({"do": "told"})["pid"] == os.getpid()) == (place.isolation == "thread")


def test_a_model_says_what_it_is_wherever_it_runs(place: Place) -> None:
    """Its weights are read where it runs; what the route says goes before what it says itself."""
    weights = digest(Path(callbacks.__file__).read_bytes())
    answer = place.send({"do": "told"})
    told = {name: answer.header(f"x-model-{name}") for name in ("name", "version", "digest")}
    assert told == {"name": "Asked", "version": "1.0", "digest": weights}
    get = head(((b"Connection", b"close"),), method=b"GET")
    about = exchange(place.address, get)
    assert about is not None
    found = {model["route"]: model for model in json.loads(about.body)["models"]}
    assert found["/"] == {"route": "/", "ready": True, **told}
    assert found["/short"] == {"route": "/short", "ready": True, **told, "name": "Said by the route"}
    assert found["/async"]["name"].endswith("asynchronous")
    assert place.send({"seconds": 0}, path=b"/async").header("x-model-name") is None


def test_what_a_callback_is_called_with(place: Place) -> None:
    asked: dict[str, Any] = {"do": "told", "more": [1, 2.5, None, "ü\ud800", {"a": []}]}
    found = place.json(asked, b"abc", b"")
    assert found["json"] == asked
    assert found["sizes"] == [3, 0]
    assert found["types"] == ["application/dicom"] * 2
    assert found["hash"] == digest(json.dumps(asked).encode(), b"abc", b"")
    assert found["steps"] == ["setup", "warm_up"]


def test_the_current_request(place: Place, log: LogCapture) -> None:
    answer = place.send({"do": "told"})
    found = json.loads(decoded(answer)[0][2])
    assert found["request"] == [answer.header("x-request-id"), "/", False, None]
    assert 0 < found["remaining"] <= LIMIT


def test_an_id_that_its_caller_uses_again_is_not_cancelled(place: Place, tmp_path: Path) -> None:
    """As one does who tries again after a timeout."""
    mark = tmp_path / "mark"
    for asked in {"do": "waits", "mark": str(mark)}, {"do": "told"}:
        sent = post(asked, path=b"/short").replace(b"\r\n", b"\r\nX-Request-ID: again-1\r\n", 1)
        answer = exchange(place.address, sent, limit=LIMIT)
        assert answer is not None
        assert answer.header("x-request-id") == "again-1"
        until(mark.with_suffix(".seen").exists)
    assert answer is not None
    assert json.loads(decoded(answer)[0][2])["request"] == ["again-1", "/short", False, None]


def test_a_model_without_a_time_limit(place: Place, tmp_path: Path) -> None:
    app = Gateway(settings=settings(place.isolation, tmp_path))
    app.add_inference_route("/", placed(place.isolation, callbacks.Asked), timeout=0)
    with serving(app) as running:
        until(lambda: is_ready(running.address))
        assert Place(place.isolation, running.address, tmp_path).json({"do": "told"})["remaining"] is None


def test_a_models_log_lines_are_of_its_request(place: Place, log: LogCapture) -> None:
    """The handlers of the gateway see whose line it is."""
    seen: list[Any] = []
    from inference_gateway.telemetry.context import working_for

    class Handler(LogCapture):
        def emit(self, record: Any) -> None:
            if record.name == "my_model":
                request = working_for.get()
                assert request.trace is not None
                seen.append((record.getMessage(), request.request_id, request.trace.traceparent))

    with Handler():
        answer = place.send({"do": "told"})
        until(lambda: seen)
    assert seen == [("a line of the model", answer.header("x-request-id"), answer.header("traceparent"))]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_models_log_lines_are_whole(form: str, place: Place) -> None:
    """What a handler of the gateway writes: level, extra fields, stack, traceback, tags."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "my_model.own":
                lines.append(self.format(record))

    lines: list[str] = []
    handler = Handler()
    text = logging.Formatter("%(levelname)s %(filename)s %(funcName)s %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.getLogger().addHandler(handler)
    try:
        place.send({"do": "logs"})
        until(lambda: len(lines) == 5)
    finally:
        logging.getLogger().removeHandler(handler)
    below, stack, traceback, tags, _ = lines
    if form == "text":
        assert below == "DEBUG callbacks.py logs below the root's level"
        assert "Stack (most recent call last)" in stack
        assert traceback.endswith("ValueError: as asked for")
        assert tags.endswith('{"tag": {"a": "100%", "b": 1}} - with tags: 3')
        return
    assert {"shape": [1, 2], "kind": "extra", "severity_text": "DEBUG"}.items() <= json.loads(below).items()
    assert "Stack (most recent call last)" in json.loads(stack)["code.stacktrace"]
    assert json.loads(traceback)["body"] == "with a traceback"
    assert json.loads(traceback)["exception.stacktrace"].endswith("ValueError: as asked for")
    assert {"body": "with tags: 3", "tag": {"a": "100%", "b": 1}}.items() <= json.loads(tags).items()


@pytest.mark.parametrize("size", [0, 11, 50_000, 3 << 20])
def test_inputs_are_read(size: int, place: Place) -> None:
    given = [os.urandom(size), b"x"]
    expected = [("application/dicom", body) for body in given for _ in range(4)]
    answer = place.send({"do": "read"}, *given)
    check_reply(
        answer,
        {"parts": ENTRY["parts"] * 8},
        expected,
        digest(json.dumps({"do": "read"}).encode(), *given),
    )


@pytest.mark.parametrize("size", [0, 12, 300_000])
@pytest.mark.parametrize("kind", callbacks.KINDS)
def test_elements_of_every_kind(kind: str, size: int, place: Place, tmp_path: Path) -> None:
    asked = {"do": "element", "kind": kind, "size": size, "folder": str(tmp_path)}
    body = callbacks.payload(size)
    answer = place.send(asked)
    check_reply(answer, ENTRY, [("application/dicom", body)], digest(json.dumps(asked).encode()))


@pytest.mark.parametrize(
    "what", ["ValueError", "StopIteration", "SystemExit", "KeyboardInterrupt", "Unavailable"]
)
def test_what_a_callback_raises(what: str, place: Place, log: LogCapture) -> None:
    pid = place.json({"do": "told"})["pid"]
    problem = check_problem(place.send({"do": "raises", "what": what}), 500)
    assert problem["type"] == "about:blank"
    assert "as asked for" not in problem["detail"]
    assert "the model failed" in log.text
    assert f"{what}: as asked for" in log.text
    assert 'callbacks.py", line' in log.text
    assert place.json({"do": "told"})["pid"] == pid


def test_a_result_that_does_not_fit(place: Place, log: LogCapture) -> None:
    check_problem(place.send({"do": "wrong"}), 500)
    assert "0 elements for 1 entries" in log.text


def test_a_generator_ends_in_its_request(place: Place, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    answer = place.send({"do": "stream", "mark": str(mark)})
    assert answer.whole
    assert decoded(answer)[1][2] == bytes(2000)
    until(lambda: mark.exists() and mark.read_text() == answer.header("x-request-id"))


def test_a_generator_that_fails_cuts_the_answer(place: Place, tmp_path: Path, log: LogCapture) -> None:
    mark = tmp_path / "mark"
    answer = place.send({"do": "stream", "mark": str(mark), "fails": True})
    assert not answer.whole
    until(mark.exists)
    assert "ValueError: as asked for" in log.text


def test_a_generator_at_its_deadline_cuts_the_answer(place: Place, tmp_path: Path, log: LogCapture) -> None:
    mark = tmp_path / "mark"
    answer = place.send({"do": "stream", "mark": str(mark), "hangs": True}, path=b"/short")
    assert not answer.whole
    until(mark.exists)
    assert "within its time limit" in log.text
    assert place.json({"do": "told"}, path=b"/short")["sizes"] == []


def test_a_generator_whose_client_leaves_is_ended(place: Place, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with Connection(place.address) as connection:
        connection.send(post({"do": "stream", "mark": str(mark), "endless": True}))
        connection.read(10_000)
    until(mark.exists)
    place.json({"do": "told"})


@pytest.mark.parametrize(("path", "do"), [(b"/", "waits"), (b"/async", "")])
def test_a_callback_whose_client_leaves_is_told(path: bytes, do: str, place: Place, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with Connection(place.address, limit=LIMIT) as connection:
        connection.send(post({"do": do, "mark": str(mark)}, path=path))
        until(mark.exists)
    until(mark.with_suffix(".seen").exists)


@pytest.mark.parametrize(("path", "do"), [(b"/short", "waits"), (b"/short-async", "")])
def test_a_callback_at_its_deadline_is_told(
    path: bytes, do: str, place: Place, tmp_path: Path, log: LogCapture
) -> None:
    mark = tmp_path / "mark"
    check_problem(place.send({"do": do, "mark": str(mark)}, path=path), 504)
    until(mark.with_suffix(".seen").exists)
    assert "within its time limit" in log.text
    assert "did not come back" not in log.text


def test_an_async_callback(place: Place) -> None:
    answer = place.send({}, b"abc", path=b"/async")
    assert json.loads(decoded(answer)[0][2]) == {"request": answer.header("x-request-id"), "read": [3]}


@pytest.mark.parametrize("isolation", PLACES)
def test_a_models_life(
    isolation: Isolation,
    spool_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    needs(isolation, request)
    monkeypatch.setenv("MARKS", str(tmp_path))
    app = Gateway(settings=settings(isolation, spool_dir))
    app.add_inference_route(
        "/", placed(isolation, callbacks.Asked, runtime_env={"env_vars": {"MARKS": str(tmp_path)}})
    )
    with serving(app) as running:
        until(lambda: is_ready(running.address))
        assert not (tmp_path / "teardown").exists()
    pids = {(tmp_path / step).read_text() for step in ("setup", "warm_up", "teardown")}
    assert len(pids) == 1
    assert (pids == {str(os.getpid())}) == (isolation == "thread")
