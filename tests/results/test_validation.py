"""Wrong answers: a message each under warn, a 500 under strict, nothing under off; right ones: nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydicom
import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.check.study import make_study
from inference_gateway.demo.models import MODELS
from inference_gateway.errors import InvalidModelOutput
from inference_gateway.execution.check import Contract, InferenceResponse, prepare
from inference_gateway.payload.contract import BINARY_TYPES
from inference_gateway.payload.part import Part
from inference_gateway.payload.spool import Spool
from tests.harness.asking import call
from tests.harness.log import LogCapture
from tests.harness.raw import Answer, exchange, request
from tests.harness.server import serving
from tests.harness.waiting import until
from tests.harness.wire import message, part
from tests.moving.application import NEW_LINES, load, pydicom_3
from tests.results.wrong import WRONG, made, model_of, put

Mode = Literal["off", "warn", "strict"]
RELATED = ((b"Content-Type", b"multipart/related; boundary=bnd"),)
STUDY = [each for each in make_study().files if isinstance(each, bytes)]


def parts_of(files: list[bytes]) -> list[Part]:
    """Inputs as a model gets them."""
    spool = Spool(Path("/tmp"), 64 << 20)
    parts, at = [], 0
    for data in files:
        spool.append(data)
        parts.append(Part(spool, at, at, at + len(data)))
        at += len(data)
    return parts


def checked(model: Callable[..., Any], mode: Mode, spool_dir: Path, files: list[bytes]) -> InferenceResponse:
    """What becomes of a model's answer to a study."""
    parts = parts_of(files)
    try:
        result = model({}, list(parts), "")
        response = prepare(result, Contract(BINARY_TYPES, spool_dir, mode), parts)
        response.close()
        return response
    finally:
        parts[0]._spool.release()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_has_its_message(name: str, spool_dir: Path) -> None:
    wrong = WRONG[name]
    model = model_of(wrong.change)
    assert checked(model, "off", spool_dir, STUDY).faults == 0
    with pytest.raises(InvalidModelOutput) as caught:
        checked(model, "strict", spool_dir, STUDY)
    lines = caught.value.reason.split("\n")
    if wrong.refused:
        with pytest.raises(InvalidModelOutput) as caught:
            checked(model, "warn", spool_dir, STUDY)
    else:
        response = checked(model, "warn", spool_dir, STUDY)
        assert response.faults == len(response.warnings) == 1
        lines = list(response.warnings)
    (line,) = lines
    assert all(word in line for word in wrong.said), line
    assert "; write " in line
    uids = {str(pydicom.dcmread(part).SOPInstanceUID) for part in parts_of(STUDY)}
    assert not any(uid in line for uid in uids)


def test_each_message_is_its_own(spool_dir: Path) -> None:
    told = set()
    for wrong in WRONG.values():
        with pytest.raises(InvalidModelOutput) as caught:
            checked(model_of(wrong.change), "strict", spool_dir, STUDY)
        told.add(caught.value.reason)
    assert len(told) == len(WRONG) >= 30


def test_a_right_answer_with_everything_in_it_has_none(spool_dir: Path) -> None:
    response = checked(model_of(lambda answer, elements, images: None), "strict", spool_dir, STUDY)
    assert (response.faults, response.warnings) == (0, [])


@pytest.mark.parametrize("name", MODELS)
def test_demo_models_have_none(name: str, spool_dir: Path) -> None:
    assert checked(MODELS[name], "strict", spool_dir, STUDY).faults == 0


@pytest.mark.parametrize("handler", ["classification", "box", "3d", "2d", "capture"])
def test_the_handlers_of_the_old_gateway_have_none(handler: str, spool_dir: Path) -> None:
    with pydicom_3():
        application = load(NEW_LINES)
        pydicom.read_file = pydicom.dcmread  # type: ignore[attr-defined]
        assert checked(application.HANDLERS[handler], "strict", spool_dir, STUDY).faults == 0


def test_a_fault_of_a_large_mask_is_looked_for_in_stretches(spool_dir: Path) -> None:
    """A number that a hundredth of a mask has is found, whatever its size; nothing else is read of it."""
    mask = np.zeros((40, 64, 80 * 256), np.uint8)
    mask[20:24] = 9
    shape = {"depth": 40, "height": 64, "width": 80 * 256}
    entry = {"binary_type": "numeric_label_mask", "binary_data_shape": shape, "label_map": {"1": "one"}}
    answer = {"protocol_version": "1.0", "parts": [{**entry, "SeriesInstanceUID": "1"}]}
    response = prepare((answer, [mask]), Contract(BINARY_TYPES, spool_dir, "warn"))
    assert [line.count("it lacks 1 of the numbers") for line in response.warnings] == [1]


def test_nothing_is_said_of_uids_that_nobody_can_know(spool_dir: Path) -> None:
    """An archive may have the images; where there is no input at all, the model finds them elsewhere."""
    box = {"SOPInstanceUID": "1.2.3", "top_left": [1, 1], "bottom_right": [2, 2]}
    answer = {"protocol_version": "1.0", "bounding_boxes_2d": [box]}
    for files in ([b"PK\3\4 an archive"], [b"PK\3\4", *STUDY]):
        assert checked(lambda *_: answer, "strict", spool_dir, files).faults == 0
    assert prepare(answer, Contract(BINARY_TYPES, spool_dir, "strict")).faults == 0
    assert checked(lambda *_: answer, "warn", spool_dir, [b"\x89PNG", *STUDY]).faults == 1


def test_a_model_may_use_up_its_list_of_inputs_and_close_them(spool_dir: Path) -> None:
    def model(json_input: Any, inputs: list[Part], input_hash: str) -> Any:
        while inputs:
            inputs.pop().close()
        return {"protocol_version": "1.0", "series_ml_json": {"1.2.3": {}}}

    assert checked(model, "warn", spool_dir, STUDY).faults == 1


@pytest.mark.parametrize(
    ("like", "change"),
    [
        ("a label without a name", put("parts", 2, "label_map", "1", to=" ")),
        ("DICOM without a class", made(4, lambda file: file.getvalue()[:132])),
        ("DICOM without a class", made(4, lambda file: file.getvalue()[:140])),
    ],
)
def test_what_is_the_same_mistake_has_the_same_message(like: str, change: Any, spool_dir: Path) -> None:
    told = [
        checked(model_of(each), "warn", spool_dir, STUDY).warnings for each in (WRONG[like].change, change)
    ]
    assert told[0] == told[1]


def test_a_large_mask_is_looked_at_whole_before_it_is_said_to_have_no_value_over_1(spool_dir: Path) -> None:
    """A lesion is a small part of it, and the rest is noise of 0 and 1."""
    mask = np.zeros((40, 64, 80 * 256), np.uint8)
    mask[:, ::2] = 1
    shape = {"depth": 40, "height": 64, "width": 80 * 256}
    entry = {"binary_type": "probability_mask", "binary_data_shape": shape, "SeriesInstanceUID": "1"}
    answer = {"protocol_version": "1.0", "parts": [entry]}
    assert prepare((answer, [mask]), Contract(BINARY_TYPES, spool_dir, "warn")).faults == 1
    mask[21, 7, 80:90] = 200
    assert prepare((answer, [mask]), Contract(BINARY_TYPES, spool_dir, "warn")).faults == 0


def test_many_faults_are_counted(spool_dir: Path) -> None:
    answer = {"protocol_version": "1.0", "bounding_boxes_2d": [{}] * 1000}
    response = prepare(answer, Contract(BINARY_TYPES, spool_dir, "warn"))
    assert response.faults == 3000
    assert len(response.warnings) == 21
    assert response.warnings[-1].endswith("and 2980 more faults in the answer")


# Over the wire


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    app = Gateway(settings=Settings(spool_dir=tmp_path_factory.mktemp("spool"), validation="strict"))
    wrong = model_of(WRONG["a threshold in per cent"].change)
    app.add_inference_route("/", wrong)
    app.add_inference_route("/warn", wrong, validate="warn")
    app.add_inference_route("/off", wrong, validate="off")
    app.add_inference_route("/right", model_of(lambda *_: None), validate="warn")
    floats = model_of(WRONG["a mask of floats"].change)
    app.add_inference_route("/floats", floats, validate="warn")
    app.add_inference_route("/floats-off", floats, validate="off")
    with serving(app) as running:
        yield running.address


def ask(address: Any, target: str) -> Answer:
    body = message(part(b"{}"), *(part(data) for data in STUDY))
    answer = exchange(address, request(RELATED, body, target=target.encode()))
    assert answer is not None
    return answer


@pytest.mark.setting("VALIDATION")
@pytest.mark.wire("response: faults of an answer")
@pytest.mark.parametrize(
    ("target", "status", "count", "lines"),
    [
        ("/", 500, None, 1),
        ("/warn", 200, "1", 1),
        ("/off", 200, None, 0),
        ("/right", 200, None, 0),
        ("/floats", 500, None, 1),
        ("/floats-off", 200, None, 0),
    ],
)
def test_over_the_wire(
    gateway: Any, log: LogCapture, target: str, status: int, count: str | None, lines: int
) -> None:
    answer = ask(gateway, target)
    assert (answer.status, answer.header("x-answer-faults")) == (status, count)
    told = [line for line in log.lines if "; write " in line]
    assert len(told) == lines
    if status == 500:
        assert "threshold" not in json.loads(answer.body)["detail"]


def test_in_a_process_too(log: LogCapture, spool_dir: Path) -> None:
    app = Gateway(settings=Settings(spool_dir=spool_dir, validation="warn"))
    app.add_inference_route("/", "tests.results.callbacks:in_per_cent", isolation="process")
    app.add_inference_route("/fine", "tests.results.callbacks:built", isolation="process", validate="strict")
    with serving(app) as running:
        until(lambda: call(running.address, b"/healthcheck").status == 200)
        answer = ask(running.address, "/")
        assert (answer.status, answer.header("x-answer-faults")) == (200, "1")
        assert ask(running.address, "/fine").status == 200
    assert "parts[0].probability_threshold: a number came that is more than 1" in log.text
