"""The builder: JSON and elements grow together, and what cannot be right is refused where it is written."""

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.client import InferenceClient
from inference_gateway.errors import InvalidModelOutput
from inference_gateway.execution.check import Contract, prepare
from inference_gateway.infer.command import infer
from inference_gateway.payload.contract import BINARY_TYPES
from inference_gateway.results import Answer, AnswerJson, from_bool, from_probability
from tests.conftest import Serve
from tests.dicom.objects import as_file, image, plane
from tests.results.series import Series

ONES = np.ones((3, 4, 5), np.uint8)
RAMP = [(0.0, (0, 0, 0, 0)), (1.0, (255, 0, 0, 255))]


def full() -> Answer:
    """Everything that there is a method for, but DICOM."""
    answer, series = Answer(), Series()
    answer.mask(ONES * 255, series, label="bone")
    answer.probability(ONES * 200, series, label="lesion", threshold=0.25)
    answer.label_mask(ONES * 2, series, {1: "liver", 2: "spleen"}, label="organs")
    answer.palette("ramp", RAMP)
    answer.palette("table", np.zeros((256, 4), np.uint8))
    answer.heatmap(ONES * 9, series, label="heat", palette="ramp")
    answer.mask(ONES[0], series, label="one plane", plane=2, score=0.5)
    answer.box(series, (1, 2), (np.int64(3), 3.5), label="nodule", plane=1)
    answer.measurement(series, (0, 0), (3, 4), label="diameter")
    answer.measurement(series, (0.0, 1.0, 2.0), np.array([1.0, 2.0, 3.0]), world=True, plane=1)
    answer.series_labels(series, {"label": "healthy"})
    answer.series_labels(series, {"score": 0.25})
    answer.study_labels({"label": "healthy"})
    answer.conformance("slices are thick", "a gap")
    answer.set(images=3)
    return answer


def test_everything_is_as_the_contract_has_it() -> None:
    answer, elements = full().result()
    AnswerJson.model_validate_json(json.dumps(answer))
    assert [part["binary_type"] for part in answer["parts"]] == [
        *("boolean_mask", "probability_mask", "numeric_label_mask", "heatmap", "boolean_mask"),
    ]
    assert [element.shape for element in elements] == [(3, 4, 5)] * 4 + [(4, 5)]
    assert answer["parts"][1]["probability_threshold"] == 0.25
    assert answer["parts"][2]["label_map"] == {"1": "liver", "2": "spleen"}
    assert answer["parts"][4] == {
        "binary_type": "boolean_mask",
        "label": "one plane",
        "binary_data_shape": {"height": 4, "width": 5},
        "dicom_image": {"SOPInstanceUID": "1.2.3.3"},
        "score": 0.5,
    }
    assert answer["bounding_boxes_2d"] == [
        {"label": "nodule", "SOPInstanceUID": "1.2.3.2", "top_left": [1, 2], "bottom_right": [3, 3.5]}
    ]
    first, second = answer["linear_measurements_2d"]
    assert (first["coordinates_type"], first["start"], first["end"]) == ("pixel", [0, 0], [3, 4])
    assert (second["coordinates_type"], second["end"]) == ("world", [1.0, 2.0, 3.0])
    assert answer["series_ml_json"] == {"1.2.3": {"label": "healthy", "score": 0.25}}
    assert answer["dicomConformance"] == ["slices are thick", "a gap"]
    assert answer["images"] == 3


@pytest.mark.wire("response: an answer of the builder")
def test_a_callback_may_return_it(spool_dir: Any) -> None:
    response = prepare(full(), Contract(BINARY_TYPES, spool_dir, "strict"))
    assert (response.faults, len(response.elements)) == (0, 5)
    assert prepare(Answer(), Contract(BINARY_TYPES, spool_dir, "strict")).elements == []
    with pytest.raises(InvalidModelOutput):
        prepare((full(), []), Contract(BINARY_TYPES, spool_dir))


def test_objects_have_their_types() -> None:
    answer = Answer()
    answer.dicom(b"1")
    answer.capture(b"2", label="picture")
    answer.report(b"3", SeriesInstanceUID="1.2")
    answer.presentation(b"4")
    answer.part("mine", b"5", key="value")
    told, elements = answer.result()
    assert told["parts"] == [
        {"binary_type": "dicom"},
        {"binary_type": "dicom_secondary_capture", "label": "picture"},
        {"binary_type": "dicom_structured_report", "SeriesInstanceUID": "1.2"},
        {"binary_type": "dicom_gsps"},
        {"binary_type": "mine", "key": "value"},
    ]
    assert elements == [b"1", b"2", b"3", b"4", b"5"]


def test_a_mask_of_an_image_with_frames_is_one_for_each() -> None:
    frames = image(np.zeros((3, 4, 5), np.int16), SOPInstanceUID="1.9", NumberOfFrames=3)
    answer = Answer()
    answer.mask(ONES * np.arange(3, dtype=np.uint8)[:, None, None] // 2, frames, label="x")
    told, elements = answer.result()
    assert [part["dicom_image"]["frame_number"] for part in told["parts"]] == [1, 2, 3]
    assert [element.max() for element in elements] == [0, 0, 1]


@pytest.mark.parametrize(
    ("method", "values", "said"),
    [
        ("mask", ONES.astype(bool), "this is bool: write from_bool(values)"),
        ("probability", ONES / 3, "this is float64: write from_probability(values)"),
        ("heatmap", ONES.astype(np.float16), "from_probability"),
        ("mask", ONES.astype(np.int64), "values.astype(np.uint8)"),
    ],
)
def test_nothing_becomes_uint8_by_itself(method: str, values: Any, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(Answer(), method)(values, Series(), label="x")
    assert said in str(caught.value)


def test_what_cannot_be_right_is_refused_and_adds_nothing() -> None:
    answer, series = Answer(), Series()
    tries: list[Any] = [
        lambda: answer.mask(np.arange(60, dtype=np.uint8).reshape(3, 4, 5), series, label="x"),
        lambda: answer.mask(ONES.T, series, label="x"),
        lambda: answer.probability(ONES, series, label="x", threshold=50),
        lambda: answer.label_mask(ONES, series, {}),
        lambda: answer.label_mask(ONES * 3, series, {1: "liver"}),
        lambda: answer.label_mask(ONES, series, {300: "liver"}),
        lambda: answer.palette("x", [(0.5, (0, 0, 0, 0)), (1.0, (0, 0, 0, 0))]),
        lambda: answer.palette("x", [(0.0, (0, 0, 0)), (1.0, (0, 0, 0))]),
        lambda: answer.palette("x", np.zeros((256, 3), np.uint8)),
        lambda: answer.box(series, (5, 5), (1, 1)),
        lambda: answer.box(series, (5, 5, 5), (6, 6, 6)),
        lambda: answer.measurement(series, (1, 1), (2, 2), world=True),
        lambda: answer.measurement(series, (1, float("nan")), (2, 2)),
        lambda: answer.set(parts=[]),
    ]
    for attempt in tries:
        with pytest.raises(ValueError, match=r"[a-z]{3}"):
            attempt()
    assert answer.result() == ({"protocol_version": "1.0", "parts": []}, [])
    answer.heatmap(ONES, series, label="x", palette="nowhere")
    with pytest.raises(ValueError, match=r"Answer\.palette"):
        answer.result()


# To the wire and back, and onto the image


@pytest.mark.parametrize("method", ["mask", "probability", "label_mask", "heatmap"])
def test_to_the_wire_and_back_and_onto_the_image(
    method: str, serve: Serve, spool_dir: Any, tmp_path: Any
) -> None:
    """The client gets the array that went in, and the test tool draws it on the plane where it was put."""
    study = tmp_path / "study"
    study.mkdir()
    files = [plane(number) for number in (1, 2, 3)]
    for number, file in enumerate(files):
        (study / f"{number}.dcm").write_bytes(as_file(file).getvalue())
    rows, columns = files[0].Rows, files[0].Columns
    found = np.zeros((3, rows, columns), bool)
    found[1, 0, 1:] = True
    values = from_bool(found) if method != "probability" else from_probability(found * 0.75)
    more: dict[str, Any] = {"names": {255: "all"}} if method == "label_mask" else {}
    source = Series(
        found.shape, str(files[0].SeriesInstanceUID), [str(file.SOPInstanceUID) for file in files]
    )

    def model(json_input: Any, inputs: Any, input_hash: str) -> Answer:
        answer = Answer()
        getattr(answer, method)(values, source, label="found", **more)
        return answer

    app = Gateway(settings=Settings(spool_dir=spool_dir))
    app.add_inference_route("/", model, validate="strict")
    host, port = serve(app).address
    with InferenceClient(f"http://{host}:{port}") as client, client.infer({}, [study]) as result:
        assert np.array_equal(result.elements[0].array().reshape(found.shape), values)
    from click.testing import CliRunner

    run = CliRunner().invoke(infer, [str(study), "-p", str(port), "-o", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    assert [path.name for path in sorted((tmp_path / "out").glob("series-*.png"))] == [
        "series-1-plane-002.png"
    ]


def test_a_large_mask_of_numbers_is_looked_at_in_little_memory() -> None:
    """Counting values makes eight bytes of each, so it is done block by block."""
    mask = np.ones((64, 512, 512), np.uint8)
    series = Series(mask.shape)
    tracemalloc.start()
    try:
        Answer().label_mask(mask, series, {1: "liver"})
        assert tracemalloc.get_traced_memory()[1] < mask.nbytes
    finally:
        tracemalloc.stop()
