"""`run_model` beside a gateway on a socket: the same answers and refusals; and what it shows of errors."""

import asyncio
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from inference_gateway import Gateway, Part, Refused, current_request
from inference_gateway.client import InferenceClient
from inference_gateway.demo.phantom import write_phantom
from inference_gateway.errors import InvalidModelOutput, LimitExceeded, ModelTimeout, UnusableModel
from inference_gateway.results import Answer, from_bool
from inference_gateway.study import read_study
from inference_gateway.testing import run_model, set_up
from tests.conftest import Serve

EMPTY = {"protocol_version": "1.0", "parts": []}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_phantom(tmp_path / "study", slices=4, rows=32, columns=32)
    return tmp_path / "study"


def bone(json_input: Any, inputs: list[Any], input_hash: str) -> Answer:
    volume = read_study(inputs).volume()
    answer = Answer()
    answer.mask(from_bool(volume.values > 300), volume, label="bone")
    answer.study_labels({"asked": json_input, "hash": input_hash, "route": current_request().route})
    return answer


def test_it_gives_what_a_client_gets(study: Path, serve: Serve) -> None:
    app = Gateway()
    app.add_inference_route("/", bone)
    host, port = serve(app).address
    with (
        InferenceClient(f"http://{host}:{port}") as client,
        client.infer({"a": 1}, [study]) as there,
        run_model(bone, study, json_input={"a": 1}) as here,
    ):
        assert here.json == there.json
        assert here.json["study_ml_json"]["asked"] == {"a": 1}
        assert (here.input_hash, here.output_hash) == (there.input_hash, there.output_hash)
        assert np.array_equal(here.elements[0].array(), there.elements[0].array())
        assert here.elements[0].array().any()


def test_inputs_are_parts(study: Path) -> None:
    seen: list[Any] = []

    def looking(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        seen.extend((type(each), each.size, each.read(3)) for each in inputs)
        seen.append((json_input, len(input_hash)))
        return EMPTY

    dataset = dcmread(sorted(study.iterdir())[0])
    run_model(looking, b"abcd", ("name", "text/plain", b"xy"), dataset)
    assert seen[:2] == [(Part, 4, b"abc"), (Part, 2, b"xy")]
    assert seen[2][0] is Part
    assert seen[3] == ({}, 64)


async def awaiting(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    await asyncio.sleep(0)
    return {**EMPTY, "thread": threading.current_thread().name}


def made_as_it_is_sent(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
    part = {"binary_type": "dicom"}
    return {"protocol_version": "1.0", "parts": [part]}, [iter([b"\0" * 128, b"DICM", b"rest"])]


def test_a_coroutine_and_an_iterable() -> None:
    assert run_model(awaiting).json["thread"] == "gateway"  # its event loop
    assert run_model(made_as_it_is_sent, validate="warn").elements[0].read() == b"\0" * 128 + b"DICMrest"


class Model:
    told: list[str] = []  # noqa: RUF012 - of all of them

    def setup(self) -> None:
        self.told.append("setup")

    def warm_up(self) -> None:
        self.told.append("warm_up")

    def teardown(self) -> None:
        self.told.append("teardown")

    def __call__(self, json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        self.told.append("call")
        return EMPTY


def test_a_class_is_set_up_once_and_torn_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "told", [])
    with set_up(Model) as infer:
        infer()
        infer(b"x")
    assert Model.told == ["setup", "warm_up", "call", "call", "teardown"]


def test_what_the_model_raises_is_raised() -> None:
    def failing(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        try:
            dict[str, int]()["key"]
        except KeyError as error:
            raise ZeroDivisionError("own words") from error

    with pytest.raises(ZeroDivisionError, match="own words") as raised:
        run_model(failing)
    assert isinstance(raised.value.__cause__, KeyError)
    printed = "".join(traceback.format_exception(raised.value))
    assert 'dict[str, int]()["key"]' in printed
    assert "thread_runner.py" not in printed  # from the author's code on


def test_what_set_up_raises_is_raised() -> None:
    class Failing(Model):
        def setup(self) -> None:
            raise FileNotFoundError("no weights here")

    with pytest.raises(FileNotFoundError, match="no weights here"):
        run_model(Failing)


def test_what_is_raised_while_the_answer_goes_out_is_raised() -> None:
    def cut(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        def blocks() -> Iterator[bytes]:
            yield b"\0" * 128 + b"DICM"
            raise ValueError("in the middle")

        return {"protocol_version": "1.0", "parts": [{"binary_type": "dicom"}]}, [blocks()]

    with pytest.raises(ValueError, match="in the middle"):
        run_model(cut, validate="warn")


def test_a_refusal_is_raised() -> None:
    def refusing(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        raise Refused("this model needs a CT", status=409)

    with pytest.raises(Refused, match="needs a CT") as raised:
        run_model(refusing)
    assert raised.value.status == 409


def test_faults_are_errors_unless_they_are_not_looked_for() -> None:
    def odd(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        return {"protocol_version": 1, "parts": []}

    with pytest.raises(InvalidModelOutput, match="protocol_version: "):
        run_model(odd)
    assert run_model(odd, validate="warn").faults == 1
    assert run_model(odd, validate="off").faults == 0


def test_what_no_client_can_read_says_why() -> None:
    def none(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        return None

    with pytest.raises(InvalidModelOutput, match="the model returned None"):
        run_model(none)


def test_limits_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_MAX_BODY_BYTES", "100")
    monkeypatch.setenv("GATEWAY_API_KEYS", "secret")  # who tests has none
    with pytest.raises(LimitExceeded, match="larger than the limit of 100 bytes"):
        run_model(awaiting, b"x" * 1000)


def test_options_are_those_of_a_route() -> None:
    gone = threading.Event()

    def waiting(json_input: Any, inputs: list[Any], input_hash: str) -> Any:
        gone.wait(60)

    with pytest.raises(ModelTimeout):
        run_model(waiting, timeout=0.1)
    gone.set()

    def together(requests: list[Any]) -> list[Any]:
        return [EMPTY for _ in requests]

    assert run_model(together, max_batch_size=2).json == EMPTY


def test_a_callback_that_cannot_be_called_so() -> None:
    with pytest.raises(UnusableModel):
        run_model(lambda: None)
    with pytest.raises(UnusableModel, match="give the model itself"):
        run_model(Gateway())


def test_an_input_that_is_none() -> None:
    with pytest.raises(TypeError, match="input 0"):
        run_model(awaiting, object())  # type: ignore[arg-type]


def test_nothing_goes_on_after_it() -> None:
    before = threading.active_count()
    with set_up(awaiting) as infer:
        infer()
    assert not [thread for thread in threading.enumerate() if thread.name == "gateway"]
    assert threading.active_count() <= before + 1  # a model's own thread may be about to end
