"""The journey, in pieces: what counts as a study, and a result that is whole or not there."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from inference_gateway import Gateway
from inference_gateway.demo.gateway_process import free_port
from inference_gateway.errors import BrokenAnswer, GatewayUnreachable
from inference_gateway.infer import run
from inference_gateway.infer.gather import GatherError
from inference_gateway.infer.progress import Phases
from inference_gateway.infer.run import Order, Outcome, reading, send
from tests.conftest import Serve
from tests.dicom.objects import as_file, plane


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two planes, a report, a copy, a picture, and a text."""
    folder = tmp_path / "study"
    folder.mkdir()
    report = plane(0, SOPInstanceUID="1.9.3")
    del report.PixelData
    made = {"1": plane(1, SOPInstanceUID="1.9.1"), "2": plane(2, SOPInstanceUID="1.9.2"), "3": report}
    for name, dataset in {**made, "4": made["1"]}.items():
        (folder / name).write_bytes(as_file(dataset).getvalue())
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "5.png")
    (folder / "6.txt").write_text("no DICOM")
    return folder


def phases() -> Phases:
    return Phases(show=False)


def test_what_was_read_is_said(study: Path, tmp_path: Path) -> None:
    with reading([study], tmp_path / "out", phases()) as read:
        assert str(read) == (
            "3 images in 2 series, 1 other DICOM object, 1 of them PNG or JPEG, "
            "1 file that is not DICOM, ignored, 1 left out: an image with this SOP Instance UID came before"
        )
        made = read.found.paths[-1]
        assert made.exists()
    assert not made.exists()
    assert not made.parent.exists()


def test_a_place_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM")
    with (
        pytest.raises(GatherError, match="there is no DICOM object in it: name a folder"),
        reading([tmp_path], tmp_path / "out", phases()),
    ):
        pytest.fail("it was read")


def journey(study: Path, output: Path, app: Any, serve: Serve, **order: Any) -> Outcome:
    host, port = serve(app).address
    done = phases()
    with reading([study], output, done) as read:
        return send(read, Order(output, url=f"http://{host}:{port}", **order), done)


def gateway(answer: Any) -> Gateway:
    app = Gateway()
    app.add_inference_route("/", lambda json_input, inputs, input_hash: answer)
    return app


def test_a_result_takes_the_place_of_the_one_before(study: Path, tmp_path: Path, serve: Serve) -> None:
    output = tmp_path / "out"
    output.mkdir()
    for name in ("series-9-plane-001.png", "element-007.npy", "response.json", "mine.txt"):
        (output / name).write_text("old")
    box = {"SOPInstanceUID": "1.9.2", "top_left": [0, 0], "bottom_right": [1, 1]}
    outcome = journey(study, output, gateway({"bounding_boxes_2d": [box]}), serve)
    assert {path.name for path in output.iterdir()} == {
        *("mine.txt", "response.json", "report.html", "contact-sheet.png", "series-1-plane-002.png")
    }
    assert (output / "response.json").read_text() != "old"
    assert outcome.sent_files == 4
    assert outcome.written.pictures == ["series-1-plane-002.png"]
    assert list(outcome.seconds) == ["find", "read", "upload", "model", "download", "write"]
    said = str(outcome).splitlines()
    assert said[0] == "1 bounding box, 1 picture of 3 planes"
    assert said[-1] == f"Look at it: {output / 'report.html'}"


def test_what_cannot_be_decoded_here_is_sent_all_the_same(tmp_path: Path, serve: Serve) -> None:
    dataset = plane(0, SOPInstanceUID="1.9.9")
    dataset.PixelData = encapsulate([bytes(10)])
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    path = tmp_path / "study.dcm"
    path.write_bytes(as_file(dataset).getvalue())
    outcome = journey(path, tmp_path / "out", gateway({"study_ml_json": {"label": "sick"}}), serve)
    assert outcome.sent_files == 1
    assert outcome.written.pictures == []
    assert outcome.written.alarms == [
        "1 image of the study cannot be shown: "
        "its pixels cannot be decoded here: JPEG-LS Lossless Image Compression"
    ]
    assert not (tmp_path / "out" / "contact-sheet.png").exists()


def test_nothing_found_is_said(study: Path, tmp_path: Path, serve: Serve) -> None:
    assert str(journey(study, tmp_path / "out", gateway({}), serve)).startswith("nothing was found\n")


def test_what_cannot_be_written_leaves_the_folder_as_it_was(
    study: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "response.json").write_text("old")

    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "write_results", full)
    with pytest.raises(OSError, match="No space left"):
        journey(study, output, gateway({}), serve)
    assert {path.name: path.read_text() for path in output.iterdir()} == {"response.json": "old"}


def test_json_that_is_too_deep_is_a_broken_answer(
    study: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deep(*arguments: Any) -> None:
        raise RecursionError

    monkeypatch.setattr(run, "write_json", deep)
    with pytest.raises(BrokenAnswer, match="nested too deep"):
        journey(study, tmp_path / "out", gateway({}), serve)
    assert not (tmp_path / "out").exists()


def test_a_proxy_of_the_environment_is_not_for_this_machine(
    study: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert journey(study, tmp_path / "out", gateway({}), serve).elements == 0


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.2", True),
        ("http://[::1]:1", True),
        ("http://0.0.0.0:8900", True),
        ("https://gateway.example", False),
        ("http://10.0.0.1", False),
    ],
)
def test_what_is_this_machine(url: str, here: bool) -> None:
    assert run._is_here(url) is here


def test_without_a_gateway_nothing_is_written(study: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with reading([study], output, phases()) as read, pytest.raises(GatewayUnreachable):
        send(read, Order(output, url=f"http://127.0.0.1:{free_port()}"), phases())
    assert not output.exists()


def test_folders_that_were_made_for_nothing_are_taken_away(study: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for output in (tmp_path / "mine", tmp_path / "mine" / "new" / "out"):
        with reading([study], output, phases()) as read, pytest.raises(GatewayUnreachable):
            send(read, Order(output, url=f"http://127.0.0.1:{free_port()}"), phases())
        assert os.listdir(tmp_path / "mine") == []
