"""Our clients against the gateway that this project replaces: its framing, its hashes, its refusals."""

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from inference_gateway.errors import BrokenAnswer, HashMismatch, ProblemAnswer
from inference_gateway.infer.command import infer
from tests.client.servers import CALLERS, Call
from tests.dicom.objects import as_file, image
from tests.harness.old_gateway import mock_server, serving_old
from tests.harness.wire import digest

PIXELS = np.arange(12, dtype=np.int16).reshape(3, 4)


@pytest.fixture(params=CALLERS, ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    caller: Call = request.param
    return caller


def mask_3d(json_input: Any, inputs: list[BytesIO], input_hash: str) -> tuple[dict[str, Any], list[Any]]:
    """As the old mock server's models answered: a mask of all images, and a DICOM object as bytes."""
    datasets = [pydicom.dcmread(each) for each in inputs]
    mask = np.stack([dataset.pixel_array > 5 for dataset in datasets]).astype(np.uint8) * 255
    shape = {"timepoints": 1, "depth": mask.shape[0], "height": mask.shape[1], "width": mask.shape[2]}
    parts = [
        {"label": "seg", "binary_type": "probability_mask", "binary_data_shape": shape},
        {"binary_type": "dicom_secondary_capture"},
    ]
    asked = {"asked": json_input, "input_hash": input_hash}
    return {"protocol_version": "1.0", "parts": parts, **asked}, [mask, inputs[0].getvalue()]


def test_a_study(call: Call) -> None:
    study = [as_file(image(PIXELS + number)).getvalue() for number in range(3)]
    with (
        serving_old(mock_server(mask_3d)) as old,
        call(old.address, {"inference_command": "ä"}, study) as result,
    ):
        assert result.json["asked"] == {"inference_command": "ä"}
        assert result.json["input_hash"] == result.input_hash
        mask, capture = result.elements
        expected = np.stack([PIXELS + number > 5 for number in range(3)])[np.newaxis] * 255
        np.testing.assert_array_equal(mask.array(), expected)
        assert capture.read() == study[0]
        np.testing.assert_array_equal(capture.dataset().pixel_array, PIXELS)
        assert result.output_hash != digest()


def test_a_large_study(call: Call) -> None:
    def count(json_input: Any, inputs: list[BytesIO], input_hash: str) -> tuple[dict[str, Any], list[Any]]:
        return {"parts": [], "sizes": [len(each.getvalue()) for each in inputs]}, []

    sizes = [5 << 20, 0, 1, *[1000] * 500]
    with (
        serving_old(mock_server(count, route="/other")) as old,
        call(
            old.address, 1, [("n ä.dcm", "application/dicom", bytes(size)) for size in sizes], "/other"
        ) as result,
    ):
        assert result.json["sizes"] == sizes


def test_its_errors(call: Call) -> None:
    def fail(json_input: Any, inputs: list[BytesIO], input_hash: str) -> tuple[dict[str, Any], list[Any]]:
        raise ValueError("of the patient")

    with serving_old(mock_server(fail)) as old:
        with pytest.raises(ProblemAnswer) as problem:
            call(old.address)
        assert (problem.value.status, problem.value.title) == (500, "Internal Server Error")
        assert problem.value.request_id is None


@pytest.mark.parametrize(
    ("parts", "elements", "error"),
    [
        (["dicom"], [b"one", b"two"], HashMismatch),  # the second is hashed, but not sent
        (["dicom", "dicom"], [b"one"], BrokenAnswer),
        (["dicom"], [b""], HashMismatch),  # hashed as one NUL
    ],
    ids=["an element dropped", "an element missing", "an empty element"],
)
def test_what_it_lost_is_seen(
    call: Call, parts: list[str], elements: Iterable[Any], error: type[Exception]
) -> None:
    def model(*_: Any) -> tuple[dict[str, Any], Iterable[Any]]:
        return {"parts": [{"binary_type": each} for each in parts]}, elements

    old_model: Callable[..., Any] = model
    with serving_old(mock_server(old_model)) as old, pytest.raises(error):
        call(old.address)


def test_the_test_tool(tmp_path: Path) -> None:
    """Its result folder is the same as with a gateway of today."""
    (tmp_path / "study").mkdir()
    for number in range(3):
        (tmp_path / "study" / f"{number}").write_bytes(as_file(image(PIXELS + number)).getvalue())
    with serving_old(mock_server(mask_3d)) as old:
        arguments = [tmp_path / "study", "-o", tmp_path / "out", "--url", old.url, "-c", "segment"]
        result = CliRunner().invoke(infer, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    answer = json.loads((tmp_path / "out" / "response.json").read_text())
    assert answer["asked"]["inference_command"] == "segment"
    (mask,) = (tmp_path / "out").glob("*.npy")
    assert (np.load(mask).reshape(3, 3, 4) == [(PIXELS + number > 5) * 255 for number in range(3)]).all()
    (written,) = (tmp_path / "out").glob("*.dcm")
    assert (pydicom.dcmread(written).pixel_array == PIXELS).all()
    assert "report.html" in result.output
