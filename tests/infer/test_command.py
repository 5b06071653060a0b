"""The command as a person and a script use it, against real gateways."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from inference_gateway import Gateway, Settings
from inference_gateway.app.failures import told_to_author
from inference_gateway.cli import main
from inference_gateway.demo.gateway_process import free_port
from inference_gateway.demo.models import MODELS
from inference_gateway.infer.command import infer
from inference_gateway.serving.server import make_server
from tests.conftest import Serve
from tests.dicom.objects import as_file, plane
from tests.harness.model import RecordingModel
from tests.harness.process import uncovered
from tests.harness.server import RunningServer
from tests.infer.lying import lying


def command(*arguments: object) -> Result:
    return CliRunner().invoke(infer, [str(one) for one in arguments])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    for z in (2, 1):
        data = as_file(plane(z, SOPInstanceUID=f"1.9.{z}", PatientName="Doe^Jane")).getvalue()
        (folder / f"{9 - z}.dcm").write_bytes(data)
    return folder


@pytest.fixture
def recording() -> RecordingModel:
    return RecordingModel()


@pytest.fixture
def port(recording: RecordingModel, serve: Serve) -> int:
    return started(serve, recording).address[1]


def started(serve: Serve, model: Callable[..., Any], **settings: Any) -> RunningServer:
    app = Gateway(settings=Settings(**settings))
    app.add_inference_route("/", model)
    app.add_inference_route("/other", model)
    return serve(app, make_server(app, port=0))


# Old and new command lines


@pytest.mark.parametrize(
    "line",
    [
        "-i {study} -o {out} --host 0.0.0.0 -p {port}",
        "--input {study} --output {out} --host 127.0.0.1 --port {port}",
        "{study} -o {out} --url http://localhost:{port}",
        "{study} -o{out} -p{port} --quiet",
    ],
)
def test_a_study_is_sent_in_order(
    line: str, study: Path, port: int, recording: RecordingModel, tmp_path: Path
) -> None:
    result = command(*line.format(study=study, out=tmp_path / "out", port=port).split())
    assert result.exit_code == 0, result.output
    (call,) = recording.take()
    assert call.json_input == {"studyUID": "1.2.3"}
    assert call.bodies == ((study / "8.dcm").read_bytes(), (study / "7.dcm").read_bytes())
    assert json.loads((tmp_path / "out" / "response.json").read_text())["protocol_version"] == "1.0"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-c segment", {"inference_command": "segment"}),
        ("--inference_command segment", {"inference_command": "segment"}),
        ("-R a=b greeting=hello=there c=", {"a": "b", "greeting": "hello=there", "c": ""}),
        ("--request_options a=b c=d", {"a": "b", "c": "d"}),
        ("--request-options a=b -R c=d", {"a": "b", "c": "d"}),
        ("-S", {"depth": 2, "height": 2, "width": 3}),
        ("--send_study_size", {"depth": 2, "height": 2, "width": 3}),
        ("-r /other", {}),
        ("--route other", {}),
        ("-l", {}),
        ("--include_label_plots --timeout 60", {}),
    ],
)
def test_the_flags_of_the_old_tool(
    line: str, expected: dict[str, Any], study: Path, port: int, recording: RecordingModel, tmp_path: Path
) -> None:
    result = command(*line.split(), "-i", study, "-o", tmp_path / "out", "-p", port)
    assert result.exit_code == 0, result.output
    (call,) = recording.take()
    assert call.json_input == {"studyUID": "1.2.3"} | expected
    assert len(call.bodies) == 2


@pytest.mark.parametrize("line", ["-a {a} {b}", "--attachments {a} {b}", "-a {a} -a {b}"])
def test_attachments_go_before_the_images(
    line: str, study: Path, port: int, recording: RecordingModel, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"attachment {name}")
    attached = line.format(a=tmp_path / "a", b=tmp_path / "b").split()
    result = command(study, "-p", port, "-o", tmp_path / "out", *attached, "-c", "x")
    assert result.exit_code == 0, result.output
    (call,) = recording.take()
    assert call.bodies[:2] == (b"attachment a", b"attachment b")
    assert len(call.bodies) == 4


@pytest.mark.parametrize("with_study", [True, False])
@pytest.mark.parametrize("flag", ["--request_study_path", "--request-study-path"])
def test_a_path_may_be_sent_instead(
    flag: str, with_study: bool, study: Path, port: int, recording: RecordingModel, tmp_path: Path
) -> None:
    places = ["-i", study] if with_study else []
    result = command(*places, flag, "/data/1", "-p", port, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    (call,) = recording.take()
    assert call.json_input == ({"studyUID": "1.2.3"} if with_study else {}) | {"studyPath": "/data/1"}
    assert call.bodies == ()


def test_everything_after_two_dashes_is_study(
    study: Path, port: int, recording: RecordingModel, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("attachment")
    result = command("-p", port, "-o", tmp_path / "out", "-a", tmp_path / "a", "--", study)
    assert result.exit_code == 0, result.output
    assert len(recording.take()[0].bodies) == 3


# What it says


def test_a_person_is_told_what_came(study: Path, tmp_path: Path, serve: Serve) -> None:
    running = started(serve, lambda *_: {"study_ml_json": {"label": "sick"}})
    out = tmp_path / "out"
    result = command(study, "-o", out, "-p", running.address[1], "-l")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "1 label of the study, 2 pictures of 2 planes"
    assert f"Look at it: {out / 'report.html'}" in result.stdout
    for word in ("2 images in 1 series", "upload", "model", "download", "write"):
        assert word in result.stderr
    assert "Jane" not in result.output
    assert "Sent to" in (out / "report.html").read_text()


def test_a_script_is_told_in_json(study: Path, tmp_path: Path, serve: Serve) -> None:
    model = MODELS["segmentation-2d"]
    running = started(serve, model)
    out = tmp_path / "out"
    (study / "notes.txt").write_text("no DICOM")
    result = command(study, "-o", out, "-p", running.address[1], "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    counted = {
        key: told[key] for key in ("status", "exit_code", "images", "series", "not_dicom", "files_sent")
    }
    assert counted == {
        "status": "ok",
        "exit_code": 0,
        "images": 2,
        "series": 1,
        "not_dicom": 1,
        "files_sent": 2,
    }
    assert told["masks"] == ["element-000.npy", "element-001.npy"]
    assert all((out / name).exists() for name in told["masks"])
    assert Path(told["report"]).exists()
    assert len(told["input_hash"]) == len(told["output_hash"]) == 64
    assert set(told["seconds"]) == {"find", "read", "upload", "model", "download", "write"}


def test_quiet_says_nothing(study: Path, tmp_path: Path, port: int) -> None:
    result = command(study, "-o", tmp_path / "out", "-p", port, "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_warnings_of_pydicom_are_not_for_the_user(tmp_path: Path, port: int, study: Path) -> None:
    """A value that breaks the rules of its VR, and a log level that is put back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = plane(3, SOPInstanceUID="1.9.3", Modality="not a code string, and too long for one")
        (study / "3").write_bytes(as_file(wrong).getvalue())
    before = logging.getLogger("pydicom").level
    result = command(study, "-o", tmp_path / "out", "-p", port, "-q")
    assert (result.exit_code, result.output) == (0, "")
    assert logging.getLogger("pydicom").level == before


def test_help_teaches() -> None:
    said = command("--help").output
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "130 "):
        assert f"      {code}" in said or f"    {code}" in said
    for words in ("inference-gateway infer study/", "report.html", "--request_study_path", "KEY=VALUE"):
        assert words in said


def test_it_is_a_command_of_the_gateway(study: Path, tmp_path: Path, port: int) -> None:
    arguments = ["infer", str(study), "-o", str(tmp_path / "out"), "-p", str(port), "-q"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert "infer" in CliRunner().invoke(main, ["--help"]).output
    assert "Usage: main infer [OPTIONS] [STUDY]" in CliRunner().invoke(main, ["infer", "-h"]).output


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inference_gateway.infer.command", None)
    result = CliRunner().invoke(main, ["infer", "study"])
    assert result.exit_code == 2
    assert "pip install 'dicom-inference-gateway[infer]'" in result.output


# How it may end


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "name a STUDY"),
        ("-a {study}/8.dcm", "put STUDY before it"),
        ("absent", "does not exist"),
        ("{study} -o {study}", "name another folder with -o"),
        ("{study} -R nonsense", "write KEY=VALUE"),
        ("{study} -R =b", "write KEY=VALUE"),
        ("{study} --url ftp://host", "write http://host:port"),
        ("{study} --url http://", "write http://host:port"),
        ("{study} --url http://host:port", "write http://host:port"),
        ("{study} -p 0", "0 is not in the range"),
        ("{empty}", "there is no DICOM object in it"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    line: str, says: str, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    result = command(*line.format(study=study, empty=tmp_path / "empty").split())
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "output").exists()


def test_a_gateway_that_is_not_there(study: Path, tmp_path: Path) -> None:
    result = command(study, "-o", tmp_path / "out", "-p", free_port())
    assert result.exit_code == 3
    assert "cannot connect to the gateway" in result.stderr
    assert "inference-gateway serve my_model:model" in result.stderr


def test_a_refusal(study: Path, tmp_path: Path, serve: Serve, recording: RecordingModel) -> None:
    running = started(serve, recording, max_parts=2)
    arguments = (study, "-o", tmp_path / "out", "-p", running.address[1])
    result = command(*arguments)
    assert result.exit_code == 4
    assert "the gateway refused it, 413: " in result.stderr
    told = json.loads(command(*arguments, "--json").stdout)
    assert (told["status"], told["exit_code"], told["http_status"]) == ("refused", 4, 413)
    assert recording.take() == []
    assert command(*arguments, "-r", "/absent").exit_code == 4


def failing(*arguments: Any) -> Any:
    raise ValueError("Doe^Jane")


def test_a_model_that_fails(study: Path, tmp_path: Path, serve: Serve) -> None:
    running = started(serve, failing)
    result = command(study, "-o", tmp_path / "out", "-p", running.address[1])
    assert result.exit_code == 5
    assert "the model failed, 500: " in result.stderr
    assert "in the gateway's log" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_traceback_of_a_gateway_for_the_author(study: Path, tmp_path: Path, serve: Serve) -> None:
    app = Gateway(settings=Settings())
    app.add_inference_route("/", failing)
    app.on_failure(told_to_author)
    running = serve(app, make_server(app, port=0))
    sent = (study, "-o", tmp_path / "out", "-p", running.address[1])
    result = command(*sent)
    assert result.exit_code == 5
    assert result.stderr.endswith('raise ValueError("Doe^Jane")\nValueError: Doe^Jane\n')
    document = json.loads(command(*sent, "--json").stdout)
    assert document["traceback"].splitlines()[-1] == "ValueError: Doe^Jane"
    assert "Traceback" not in document["message"]


@pytest.mark.parametrize(
    ("head", "code", "says"),
    [
        (b"200 OK\r\nContent-Type: text/plain", 6, "nothing was written"),
        (b"200 OK\r\nContent-Type: multipart/related; boundary=x", 6, "nothing was written"),
        (b"302 Found", 6, "no gateway answers so, 302"),
        (b"204 No Content", 6, "Is the URL its route?"),
        (b"500 No", 5, "failed"),
        (b"503 Later\r\nRetry-After: 1", 4, "refused"),
        (b"507 Full", 4, "refused"),
        (b"504 Slow", 5, "failed"),
    ],
)
def test_answers_that_are_none(head: bytes, code: int, says: str, study: Path, tmp_path: Path) -> None:
    with lying(b"HTTP/1.1 " + head + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as port:
        result = command(study, "-o", tmp_path / "out", "-p", port)
    assert result.exit_code == code
    assert says in result.stderr


def test_a_folder_that_cannot_be_written(
    study: Path, tmp_path: Path, port: int, recording: RecordingModel
) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    result = command(study, "-o", out, "-p", port)
    assert result.exit_code == 1
    assert (
        f"the result cannot be written into {out} (Not a directory): name a folder with -o" in result.stderr
    )
    assert recording.take() == []


def test_a_folder_that_is_made_halfway_is_taken_away(study: Path, tmp_path: Path, port: int) -> None:
    result = command(study, "-o", tmp_path / "a" / "b" / ("x" * 300), "-p", port)
    assert result.exit_code == 1
    assert "(File name too long): name a folder with -o" in result.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EACCES, "cannot be written (Permission denied): check that"),
        (errno.ENOSPC, "no room left (No space left on device): make some in"),
    ],
)
def test_a_file_that_cannot_be_read_or_written(
    number: int, says: str, study: Path, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(*arguments: Any, **more: Any) -> None:
        raise OSError(number, os.strerror(number), str(study / "Doe^Jane.dcm"))

    monkeypatch.setattr("inference_gateway.infer.run.write_results", failed)
    result = command(study, "-o", tmp_path / "out", "-p", port)
    assert result.exit_code == 1
    assert says in result.stderr
    assert "Doe" not in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_an_interrupt_leaves_nothing_behind(
    number: signal.Signals, study: Path, tmp_path: Path, serve: Serve
) -> None:
    begun, over = threading.Event(), threading.Event()

    def model(*arguments: Any) -> Any:
        begun.set()
        over.wait(60)
        return {}

    running = started(serve, model)
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    out.mkdir()
    (out / "response.json").write_text("old")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(study / "picture.png")
    arguments = ["infer", str(study), "-o", str(out), "-p", str(running.address[1])]
    with subprocess.Popen(
        [sys.executable, "-m", "inference_gateway.cli", *arguments],
        env=uncovered() | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert begun.wait(60), "the model was never called"
            assert len(list(temporary.iterdir())) == 1
            process.send_signal(number)
            output, errors = process.communicate(timeout=60)
        finally:
            over.set()
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors + output
    assert {path.name: path.read_text() for path in out.iterdir()} == {"response.json": "old"}
    assert list(temporary.iterdir()) == []


def test_the_command_is_click_s_own() -> None:
    """So that `inference-gateway` can call it later."""
    assert isinstance(infer, click.Command)
    assert infer.name == "infer"
