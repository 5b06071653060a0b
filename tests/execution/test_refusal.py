"""A model that refuses: its own sentence and status reach the client, wherever it runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inference_gateway import Gateway, Refused, Settings
from inference_gateway.client import InferenceClient
from inference_gateway.errors import ModelFailed, ProblemAnswer, RequestError
from inference_gateway.execution.call import guarded
from tests.harness.asking import call
from tests.harness.clusters import PLACES, Isolation, isolated, needs, placed
from tests.harness.log import LogCapture
from tests.harness.raw import Answer, exchange, request
from tests.harness.server import serving
from tests.harness.waiting import until
from tests.harness.wire import check_problem, message, part
from tests.results import callbacks

SENTENCE = "this model needs an axial CT with at least 40 slices"
RELATED = ((b"Content-Type", b"multipart/related; boundary=bnd"),)


def send(address: Any, asked: Any, target: bytes = b"/") -> Answer:
    answer = exchange(address, request(RELATED, message(part(json.dumps(asked).encode())), target=target))
    assert answer is not None
    return answer


async def refusing_later(json_input: Any, inputs: Any, input_hash: str) -> Any:
    raise Refused(SENTENCE)


def elements_that_refuse(json_input: Any, inputs: Any, input_hash: str) -> Any:
    def lazy() -> Iterator[bytes]:
        if json_input.get("late"):
            yield b"1"
        raise Refused(SENTENCE)

    return {"protocol_version": "1.0", "parts": [{"binary_type": "heatmap"}]}, [lazy()]


@pytest.fixture(scope="module", params=PLACES)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    place: Isolation = request.param
    needs(place, request)
    app = Gateway(settings=Settings(spool_dir=tmp_path_factory.mktemp("spool"), isolation=isolated(place)))
    app.add_inference_route("/", placed(place, callbacks.refusing))
    app.add_inference_route("/batch", placed(place, callbacks.refusing_in_batches), max_batch_size=2)
    app.add_inference_route("/later", placed(place, refusing_later))
    app.add_inference_route("/lazy", placed(place, elements_that_refuse))
    with LogCapture(), serving(app) as running:
        until(lambda: call(running.address, b"/healthcheck").status == 200)
        yield running.address


@pytest.mark.wire("refused: by the model itself")
@pytest.mark.parametrize("status", [400, 404, 409, 422, 451, 499])
@pytest.mark.slow
def test_the_sentence_and_the_status_reach_the_client(address: Any, status: int, log: LogCapture) -> None:
    problem = check_problem(send(address, {"sentence": SENTENCE, "status": status}), status)
    assert problem["detail"] == SENTENCE
    assert problem["title"] == "Refused by the model"
    assert problem["type"] == "urn:inference-gateway:refused"
    assert f"refused by the model: status {status}" in log.text
    assert "40 slices" not in log.text, "a sentence may have more in it than it should"
    assert not log.tracebacks


def test_one_request_of_a_batch(address: Any) -> None:
    assert check_problem(send(address, {"sentence": SENTENCE}, b"/batch"), 422)["detail"] == SENTENCE


@pytest.mark.parametrize("target", [b"/later", b"/lazy"])
def test_wherever_it_is_raised_before_the_answer_begins(address: Any, target: bytes) -> None:
    assert check_problem(send(address, {}, target), 422)["detail"] == SENTENCE


def test_once_the_answer_has_begun_it_is_cut(address: Any) -> None:
    assert not send(address, {"late": True}, b"/lazy").whole


def test_metrics_count_it_apart(address: Any) -> None:
    def counts() -> tuple[float, float]:
        text = call(address, b"/metrics").body.decode()
        found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        failed = found.get('gateway_requests_total{route="/",status="500"}', "0")
        return float(found['gateway_model_refusals_total{route="/"}']), float(failed)

    refused, failed = counts()
    send(address, {"sentence": SENTENCE})
    assert counts() == (refused + 1, failed)


def test_the_client_shows_it(address: Any) -> None:
    host, port = address
    with InferenceClient(f"http://{host}:{port}") as client, pytest.raises(ProblemAnswer) as caught:
        client.infer({"sentence": SENTENCE}, [])
    assert (caught.value.status, caught.value.detail) == (422, SENTENCE)


@pytest.mark.parametrize("status", [200, 399, 500, 503, "422", None])
def test_only_a_client_error_is_a_refusal(status: Any) -> None:
    with pytest.raises(ValueError, match="from 400 to 499"):
        Refused("no", status=status)


@pytest.mark.parametrize("sentence", ["", "  ", "\n"])
def test_it_says_why(sentence: str) -> None:
    with pytest.raises(ValueError, match="say why"):
        Refused(sentence)


def test_the_sentence_is_one_line_and_not_long() -> None:
    assert Refused("two\r\n lines\x00\x1b[2J").detail == "two lines[2J"
    assert len(Refused("x" * 9999).detail) == 500


def test_another_error_of_the_tree_is_a_failure_still() -> None:
    class Mine(RequestError):
        status = 418
        sentence = "no"

    def model() -> Any:
        raise Mine

    with pytest.raises(ModelFailed):
        guarded(model)


def test_infer_shows_it(address: Any, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from inference_gateway.infer.command import infer

    (tmp_path / "study").mkdir()
    options = ["--request-study-path", "x", "-p", str(address[1]), "-o", str(tmp_path / "out")]
    run = CliRunner().invoke(infer, [*options, "-R", f"sentence={SENTENCE}"])
    assert run.exit_code == 4, run.output
    assert f"the model refused it, 422: {SENTENCE}" in run.stderr
