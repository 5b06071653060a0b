"""The whole journey, through a real gateway in its own process."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from inference_gateway.demo import __main__, run
from inference_gateway.demo.phantom import write_phantom
from inference_gateway.dicom.series import read_study
from inference_gateway.infer import run as infer_run
from tests.demo.study import PHANTOM
from tests.harness.process import uncovered

pytestmark = pytest.mark.slow


def demo(*arguments: object) -> Result:
    return CliRunner().invoke(__main__.main, [str(one) for one in arguments])


@pytest.fixture(scope="session")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom with what else lies about in folders."""
    folder = tmp_path_factory.mktemp("study")
    write_phantom(folder / "series", slices=32, rows=128, columns=128)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden").write_text("not even sent")
    return folder


def test_without_arguments_two_models_show_what_they_find(tmp_path: Path) -> None:
    result = demo("--output", tmp_path)
    assert result.exit_code == 0, result.output
    mask = np.load(tmp_path / "segmentation-3d" / "element-000.npy")
    assert mask.shape == (1, 48, 256, 256)
    assert (
        json.loads((tmp_path / "segmentation-3d" / "response.json").read_text())["protocol_version"] == "1.0"
    )
    planes = {path.name for path in (tmp_path / "segmentation-3d").glob("series-1-plane-*.png")}
    assert planes == {f"series-1-plane-{at + 1:03d}.png" for at in np.nonzero(mask[0].any(axis=(1, 2)))[0]}
    assert len(list((tmp_path / "segmentation-2d").glob("series-*-plane-001.png"))) == 4
    for model in ("segmentation-3d", "segmentation-2d"):
        assert (tmp_path / model / "contact-sheet.png").stat().st_size > 1000
        assert str(tmp_path / model) in result.output
        assert (tmp_path / model / "report.html").exists()
    for phase in ("find", "read", "start", "upload", "model", "download", "write"):
        assert len(re.findall(rf"\b{phase} \d+\.\d\d s", result.output)) == 2
    assert "1 element, 8 pictures" in result.output


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("bounding-box", "5 bounding boxes"),
        ("classification", "1 labelled series, 2 labels of the study, 1 picture"),
        ("secondary-capture", "1 element, 1 picture"),
    ],
)
def test_a_folder_goes_through_the_model_that_is_named(
    model: str, said: str, phantom_folder: Path, tmp_path: Path
) -> None:
    result = demo(phantom_folder, "--model", model, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert f"{model}: 32 images in 1 series, 2 files that are not DICOM, ignored" in result.output
    assert said in result.output
    assert (tmp_path / model / "contact-sheet.png").exists()
    everything = result.output + (tmp_path / model / "gateway.log").read_text()
    for name in ("Phantom", "PHANTOM", PHANTOM.uid("series")):
        assert name not in everything


def test_only_what_a_former_run_wrote_is_removed(phantom_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "classification"
    folder.mkdir()
    for name in ("series-9-plane-001.png", "element-007.npy", "my.png"):
        (folder / name).touch()
    assert demo(phantom_folder, "--model", "classification", "--output", tmp_path).exit_code == 0
    names = {path.name for path in folder.iterdir()}
    written = {"series-1-plane-017.png", "contact-sheet.png", "response.json", "report.html", "gateway.log"}
    assert names == {"my.png", *written}


def test_a_model_alone_gets_the_whole_sample_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, list[str]]] = []

    def noted(model: str, gather: object, folder: Path, limits: run.Limits) -> None:
        assert callable(gather)
        ran.append((model, [series.modality for series in read_study(gather()).series]))

    monkeypatch.setattr(__main__, "run_model", noted)
    assert demo("--model", "bounding-box", "--output", tmp_path).exit_code == 0
    assert ran == [("bounding-box", ["CT", "CT", "MR", "MR", "US"])]


def test_a_folder_without_images_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    result = demo(tmp_path, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "there is no DICOM object in it: name a folder" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["absent"], ["--model", "oracle"], ["--start-limit", "soon"]])
def test_wrong_arguments_are_a_usage_error(arguments: list[str]) -> None:
    assert demo(*arguments).exit_code == 2


def test_what_the_gateway_refuses_is_said_with_its_reason(
    phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_MAX_PARTS", "3")
    result = demo(phantom_folder, "--output", tmp_path)
    assert result.exit_code == 1
    assert "413" in result.output
    assert str(tmp_path / "segmentation-3d" / "gateway.log") in result.output


def test_a_gateway_that_dies_is_shown_with_its_log(
    phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    monkeypatch.setattr(run, "serve_command", lambda model, port: command)
    result = demo(phantom_folder, "--output", tmp_path)
    assert result.exit_code == 1
    assert "the gateway ended with exit code 1." in result.output
    assert "  | no such luck" in result.output


def test_an_interrupt_ends_the_demo_with_an_exit_code(
    phantom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        __main__._interrupted(signal.SIGTERM, None)

    monkeypatch.setattr(infer_run, "write_results", interrupted)
    result = demo(phantom_folder, "--output", tmp_path)
    assert result.exit_code == 1
    log = (tmp_path / "segmentation-3d" / "gateway.log").read_text()
    assert "Finished server process" in log


def test_a_signal_ends_the_demo_and_its_gateway(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inference_gateway.demo", "--output", str(tmp_path)]
    with subprocess.Popen(
        command, env=uncovered(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("segmentation-3d: "):  # the gateway is ready, and the answer still to come
                break
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.rstrip().endswith("Aborted!")
    log = (tmp_path / "segmentation-3d" / "gateway.log").read_text()
    found = re.search(r"Started server process \[(\d+)\]", log)
    assert found is not None
    with pytest.raises(ProcessLookupError):
        os.kill(int(found[1]), 0)


def test_what_is_not_installed_is_named() -> None:
    without = "import sys, runpy; sys.modules['httpx'] = None"
    script = f"{without}; runpy.run_module('inference_gateway.demo', run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "the demo needs httpx: pip install 'dicom-inference-gateway[demo]'\n"
