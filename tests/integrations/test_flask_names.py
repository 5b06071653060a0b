"""An application of the old gateway runs with other import lines, and answers what it answered there."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from requests_toolbelt.multipart.decoder import MultipartDecoder

from inference_gateway import Settings
from inference_gateway.demo.phantom import make_phantom
from inference_gateway.integrations.flask_names import ErrorHandler, Gateway, make_response
from tests.conftest import Serve
from tests.dicom.objects import as_file
from tests.harness.log import LogCapture
from tests.harness.old_gateway import old_request, serving_old
from tests.harness.process import Process
from tests.harness.raw import Address, Answer, exchange, request
from tests.harness.serving import check_ok
from tests.harness.wire import check_problem
from tests.moving.application import NEW_LINES, STAND_IN_LINES, load, pydicom_2, pydicom_3, source

PHANTOM = make_phantom(slices=3, rows=32, columns=40)
FILES = {f"{i}.dcm": as_file(dataset).getvalue() for i, dataset in enumerate(PHANTOM.datasets())}
REQUEST = old_request({"inference_command": "mock", "studyUID": PHANTOM.uid("study")}, FILES)
HANDLERS = ("2d", "3d", "box", "classification", "capture")


@pytest.fixture
def _pydicom_3() -> Iterator[None]:
    with pydicom_3():
        yield


def post(address: Address) -> Answer:
    content_type, body = REQUEST
    return check_ok(exchange(address, request(((b"Content-Type", content_type.encode()),), body)))


def parts(answer: Answer) -> list[tuple[dict[bytes, bytes], bytes]]:
    """The parts as the old test tool read them."""
    read = MultipartDecoder(answer.body, answer.header("content-type"))
    return [(dict(each.headers.lower_items()), each.content) for each in read.parts]


def gateway(application: Any, name: str, spool_dir: Path) -> Gateway:
    app: Gateway = application.Gateway("old_mock_server", settings=Settings(spool_dir=spool_dir))
    app.register_error_handler(Exception, application.handle_exception)
    app.add_inference_route("/", application.HANDLERS[name])
    app.add_healthcheck_route(application.healthcheck_handler)
    return app


@pytest.mark.parametrize("name", HANDLERS)
def test_handlers_answer_what_they_answered(name: str, serve: Serve, spool_dir: Path) -> None:
    """JSON, elements, headers and both hashes, byte for byte; only the boundary is another."""
    with pydicom_2():
        application = load(STAND_IN_LINES)
        old = application.Gateway("old_mock_server")
        old.register_error_handler(Exception, application.handle_exception)
        old.add_inference_route("/", application.HANDLERS[name])
        with serving_old(old) as running:
            expected = parts(post(running.address))
    with pydicom_3():
        app = gateway(load(NEW_LINES), name, spool_dir)
        found = parts(post(serve(app).address))
    assert found == expected
    assert len(found) == 2 + len(json.loads(found[0][1])["parts"])


def test_the_old_names_are_all_there_is_to_change() -> None:
    changed = set(source(NEW_LINES).splitlines()) ^ set(source(STAND_IN_LINES).splitlines())
    assert all(line.startswith("from ") for line in changed)


@pytest.mark.usefixtures("_pydicom_3")
def test_the_health_check_of_the_application(serve: Serve, spool_dir: Path) -> None:
    app = gateway(load(NEW_LINES), "box", spool_dir)
    answer = exchange(serve(app).address, request((), b"", method=b"GET", target=b"/healthcheck"))
    assert check_ok(answer).body == b"READY"


@pytest.mark.usefixtures("_pydicom_3")
def test_the_application_as_a_program(tmp_path: Path, spool_dir: Path) -> None:
    """`app.run(...)` with Flask's options: serves, and ends on SIGTERM with exit code 0."""
    (tmp_path / "my_server.py").write_text(source(NEW_LINES))
    process = Process(tmp_path, [sys.executable, "my_server.py", "2d", "--port", "0"], spool_dir=spool_dir)
    try:
        assert len(parts(post(process.address))) == 2 + len(FILES)
        assert "mock_model received" in process.log
        process.popen.send_signal(signal.SIGTERM)
        assert process.wait() == 0, process.log
    finally:
        process.close()


# Error handlers


def failing(json_input: Any, inputs: Any, input_hash: str) -> Any:
    raise KeyError("a reason")


@pytest.mark.parametrize(
    ("kinds", "called"),
    [((Exception,), [Exception]), ((ValueError,), []), ((Exception, KeyError), [KeyError])],
    ids=["any", "another", "the last one registered"],
)
def test_an_error_handler_is_told(
    kinds: tuple[type[Exception], ...],
    called: list[type[Exception]],
    serve: Serve,
    spool_dir: Path,
    log: LogCapture,
) -> None:
    """And the answer is the gateway's own, whatever the handler returns."""
    told: list[type[Exception]] = []
    app = Gateway(__name__, settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", failing)

    def telling(kind: type[Exception]) -> ErrorHandler:
        def handler(error: Exception) -> tuple[str, int]:
            assert isinstance(error, KeyError)
            told.append(kind)
            return "oh, no", 418

        return handler

    for kind in kinds:
        app.register_error_handler(kind, telling(kind))
    content_type, body = REQUEST
    answer = exchange(serve(app).address, request(((b"Content-Type", content_type.encode()),), body))
    assert "a reason" not in str(check_problem(answer, 500))
    assert told == called
    assert any("KeyError" in each for each in log.tracebacks)


def test_an_error_handler_for_a_status() -> None:
    with pytest.raises(TypeError, match="exception classes"):
        Gateway(__name__).register_error_handler(404, lambda error: "none")  # type: ignore[arg-type]


def test_an_error_handler_that_fails(serve: Serve, spool_dir: Path, log: LogCapture) -> None:
    app = Gateway(__name__, settings=Settings(spool_dir=spool_dir))
    app.register_error_handler(Exception, lambda error: 1 / 0)
    app.add_inference_route("/", failing)
    content_type, body = REQUEST
    answer = exchange(serve(app).address, request(((b"Content-Type", content_type.encode()),), body))
    check_problem(answer, 500)
    assert "the error handler failed" in log.text


def test_other_models_are_left_alone(serve: Serve, spool_dir: Path) -> None:
    class Model:
        def __call__(self, json_input: Any, inputs: Any, input_hash: str) -> Any:
            return {"ready": True}

    async def later(json_input: Any, inputs: Any, input_hash: str) -> Any:
        return {"ready": True}

    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", Model)
    app.add_inference_route("/later", later)
    address = serve(app).address
    content_type, body = REQUEST
    assert parts(post(address))[0][1] == b'{"ready": true}'
    sent = request(((b"Content-Type", content_type.encode()),), body, target=b"/later")
    assert parts(check_ok(exchange(address, sent)))[0][1] == b'{"ready": true}'


@pytest.mark.usefixtures("_pydicom_3")
def test_pydicom_gets_its_old_name_back_only_here() -> None:
    assert not hasattr(pydicom, "read_file")
    Gateway(__name__)
    assert pydicom.read_file is pydicom.dcmread  # type: ignore[attr-defined]


def test_make_response() -> None:
    answer = make_response("NOT YET", 503)
    assert (answer.status_code, answer.body, answer.media_type) == (503, b"NOT YET", "text/plain")
    assert make_response("READY").status_code == 200


def test_run_ends_with_an_exit_code_where_a_model_cannot_be_set_up(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from inference_gateway.flask_names import Gateway\n"
        "class Model:\n"
        "    def setup(self): raise OSError('no weights')\n"
        "    def __call__(self, *arguments): return {}\n"
        "app = Gateway(__name__)\n"
        "app.add_inference_route('/', Model)\n"
        "app.run(port=0, debug=True)\n"
    )
    process = Process(tmp_path, [sys.executable, "broken.py"], spool_dir=tmp_path)
    try:
        assert process.wait() == 3
        assert "no weights" in process.log
    finally:
        process.close()
