"""The report of the last request: what is in it, and what of a request makes none."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_gateway import Gateway, Refused, Settings
from inference_gateway.app.failures import told_to_author
from inference_gateway.client import InferenceClient
from inference_gateway.demo.phantom import write_phantom
from inference_gateway.errors import CutAnswer, ProblemAnswer
from inference_gateway.results import Answer
from inference_gateway.serving.last_report import LastReport
from inference_gateway.serving.server import make_server
from inference_gateway.study import read_study
from tests.conftest import Serve
from tests.harness.log import LogCapture
from tests.harness.raw import exchange, request
from tests.harness.server import RunningServer, left_in
from tests.harness.waiting import until
from tests.harness.wire import message, part

Model = Callable[[Any, Sequence[Any], str], Any]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_phantom(tmp_path / "study", slices=4, rows=32, columns=32)
    return tmp_path / "study"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "reports").mkdir()
    return tmp_path / "reports"


@pytest.fixture
def client_of(
    serve: Serve, folder: Path, spool_dir: Path
) -> Iterator[Callable[[Model], tuple[InferenceClient, RunningServer]]]:
    """Serves a model with reports, and gives who asks it."""
    clients = []

    def start(model: Model) -> tuple[InferenceClient, RunningServer]:
        settings = Settings(spool_dir=spool_dir, spool_memory_bytes=1024)
        app = Gateway(settings=settings)
        app.add_inference_route("/", model)
        app.on_failure(told_to_author)
        app.add_middleware(LastReport, folder=folder, settings=settings)
        running = serve(app, make_server(app, port=0))
        host, port = running.address
        clients.append(InferenceClient(f"http://{host}:{port}"))
        return clients[-1], running

    yield start
    for client in clients:
        client.close()


def bone(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Answer:
    volume = read_study(inputs).volume()
    answer = Answer()
    answer.mask((volume.values > 300).astype(np.uint8), volume, label="all of the bone")
    return answer


def streamed(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
    """What is made as it is sent can be sent once only."""
    result, elements = bone(json_input, inputs, input_hash).result()
    return result, [iter([elements[0].tobytes()])]


@pytest.mark.parametrize("model", [bone, streamed])
def test_it_shows_what_came_back(
    model: Model,
    client_of: Callable[[Model], tuple[InferenceClient, RunningServer]],
    study: Path,
    folder: Path,
    spool_dir: Path,
    log: LogCapture,
) -> None:
    client, running = client_of(model)
    with client.infer({}, [study]) as result:
        assert result.elements[0].array().any()
    running.watched.wait_idle()
    page = (folder / "report.html").read_text()
    assert "all of the bone" in page
    assert page.count("data:image/png") >= 4 or page.count("iVBORw0KGgo") >= 4
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    assert f"the report of this request: {(folder / 'report.html').as_uri()}" in log.text
    assert left_in(spool_dir) == []


def test_a_failure_has_its_traceback_in_it(
    client_of: Callable[[Model], tuple[InferenceClient, RunningServer]], study: Path, folder: Path
) -> None:
    def failing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        raise ValueError("these words")

    client, running = client_of(failing)
    with pytest.raises(ProblemAnswer) as raised:
        client.infer({}, [study])
    assert raised.value.traceback is not None
    assert raised.value.traceback.endswith("ValueError: these words")
    running.watched.wait_idle()
    page = (folder / "report.html").read_text()
    assert "ValueError: these words" in page
    assert re.search(r"500: the model failed", page)


def test_a_refusal_is_said(
    client_of: Callable[[Model], tuple[InferenceClient, RunningServer]], study: Path, folder: Path
) -> None:
    def refusing(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        raise Refused("this model needs an MR")

    client, running = client_of(refusing)
    with pytest.raises(ProblemAnswer, match="needs an MR") as raised:
        client.infer({}, [study])
    assert raised.value.traceback is None
    running.watched.wait_idle()
    assert "422: this model needs an MR" in (folder / "report.html").read_text()


def test_the_last_one_stays_where_half_an_answer_came(
    client_of: Callable[[Model], tuple[InferenceClient, RunningServer]],
    study: Path,
    folder: Path,
    spool_dir: Path,
) -> None:
    def cut(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        def blocks() -> Iterator[bytes]:
            yield b"x" * 1024
            raise ValueError("in the middle")

        part = {"binary_type": "boolean_mask", "binary_data_shape": {"height": 64, "width": 32}}
        return {"protocol_version": "1.0", "parts": [part]}, [blocks()]

    (folder / "report.html").write_text("of before")
    client, running = client_of(cut)
    with pytest.raises(CutAnswer):
        client.infer({}, [study])
    running.watched.wait_idle()
    assert (folder / "report.html").read_text() == "of before"
    until(lambda: left_in(spool_dir) == [])


@pytest.mark.parametrize("body", [message(part(b"{"), part(b"2")), b"no multipart at all"])
def test_what_is_no_request_makes_none(
    client_of: Callable[[Model], tuple[InferenceClient, RunningServer]], folder: Path, body: bytes
) -> None:
    _, running = client_of(bone)
    answer = exchange(
        running.address, request(((b"Content-Type", b"multipart/related; boundary=bnd"),), body)
    )
    assert answer is not None
    assert answer.status == 400
    running.watched.wait_idle()
    assert list(folder.iterdir()) == []


def test_a_study_without_images_is_drawn_too(
    client_of: Callable[[Model], tuple[InferenceClient, RunningServer]], folder: Path
) -> None:
    def said(json_input: Any, inputs: Sequence[Any], input_hash: str) -> Any:
        return {"protocol_version": "1.0", "study_ml_json": {"said": "quite so"}}

    client, running = client_of(said)
    client.infer({}, [b"a note"]).close()
    running.watched.wait_idle()
    assert "quite so" in (folder / "report.html").read_text()


def test_a_report_that_cannot_be_drawn_harms_nobody(
    client_of: Callable[[Model], tuple[InferenceClient, RunningServer]],
    study: Path,
    folder: Path,
    log: LogCapture,
) -> None:
    folder.rmdir()
    client, running = client_of(bone)
    client.infer({}, [study]).close()
    running.watched.wait_idle()
    assert "the report of this request cannot be drawn (FileNotFoundError)" in log.text
